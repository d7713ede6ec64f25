"""Requests that no operator's side would send, to an agent whose neighbourhood is watched."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from deploy.agent.arguments import REQUIRED
from deploy.agent.channel import Channel
from deploy.agent.cli import answer
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import VERSION_PATTERN
from deploy.agent.verbs import VERBS
from tests.deploy.agent import kit
from tests.support.fuzzing import mutations, odd, words

RELEASE = kit.small()
NEXT = kit.small("2.0", **{"lib/new.py": b"new = 2\n"})
DESCRIBED = json.loads(NEXT.text)
PAYLOAD = kit.tar({**RELEASE.contents, **NEXT.contents})
STARTING = ("trial", "activate", "start", "rollback", "run", "migrate")  # they have tests of their own, with processes
BAIT = "bait.sqlite3"


@dataclass
class World:
    """An agent's directories between others that are not its own."""

    home: Path
    layout: Layout

    @property
    def neighbours(self) -> dict[str, Any]:
        """Describe all that is not the agent's."""
        return kit.tree(self.home, but=["here/server"])

    def ask(self, line: bytes, payload: bytes = b"") -> dict[str, Any]:
        """Let the agent read a request, and give its last word; what it started has no input and output of ours."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(line.replace(b"\n", b" ") + b"\n" + payload)
            source.seek(0)
            channel = Channel(source, target, session=True)
            try:
                request = channel.request()
                assert request is not None
                answer(self.layout, channel, request)
            except AgentError as error:
                channel.fail(error.to_json())
            target.seek(0)
            said = [json.loads(each) for each in target.read().splitlines()]
        assert all("event" in each for each in said[:-1])
        return dict(said[-1])

    def problems(self) -> list[str]:
        """Say what is not as it may be in the agent's own directories."""
        found = []
        for path in self.layout.store.rglob("*"):
            if path.is_symlink() or (path.is_file() and kit.sha256(path.read_bytes()) != name_of(path)):
                found.append(f"{path} is no content of its name")
        for path in self.layout.releases.iterdir():
            if not VERSION_PATTERN.match(path.name) or not (path / "manifest.json").is_file():
                found.append(f"{path} is no release")
        for path in self.layout.generations.iterdir():
            whole = path.name.isascii() and path.name.isdigit() and json.loads((path / "meta.json").read_bytes())
            if not whole or any(each.stat().st_mode & 0o077 for each in (path / "credentials").iterdir()):
                found.append(f"{path} is no generation")
        found += [f"{path} was left over" for path in self.layout.tmp.iterdir()]
        return found


def name_of(path: Path) -> str:
    """Give the hash that a content's place says."""
    return (path.parent.name + path.name).removesuffix(".x")


def world(home: Path) -> World:
    """Make an agent's directories, with a release and a generation, and something beside them that is worth having."""
    for name in ("outside", "here/other"):
        (home / name).mkdir(parents=True)
        (home / name / "bait").write_text("not the agent's\n")
    with sqlite3.connect(home / "outside" / BAIT) as database:
        database.execute("CREATE TABLE bait (x)")
    database.close()
    (home / "here/link").symlink_to("../outside")
    layout = Layout.under(home / "here/server", "sample")
    layout.make()
    kit.call(layout, "receive", PAYLOAD, encoding="identity", length=len(PAYLOAD))
    kit.call(layout, "assemble", manifest=RELEASE.text)
    kit.call(
        layout,
        "prepare",
        generation=1,
        version="1.0",
        digest=RELEASE.digest,
        variables={"A": "b"},
        secrets={"SECRET_KEY": "hunter2"},
    )
    return World(home, layout)


def _likely(home: Path) -> dict[str, st.SearchStrategy[Any]]:
    """Give values that an argument of this name may well have."""
    contents = sorted({**RELEASE.contents, **NEXT.contents})
    names = st.sampled_from(["A", "SECRET_KEY", "HOME", "A_FILE", "a b", "../x", "", "A=B", "\ud800", "X" * 300])
    table = st.dictionaries(names, words, max_size=3)
    # Never the bait itself: whoever calls an agent without a server may do to files what he may; see test_own.py.
    files = ["/etc/passwd", f"{home}/outside", f"{home}/outside/new", f"{home}/here/link/new", "", "../x"]
    commands = [
        "show info",
        "show holds",
        "set server sample/web1 state drain",
        "probe sample/web1 / x",
        "shutdown sessions server a/b",
        "show stat; disable server sample/web1",
        "show acl /etc/shadow",
        "set server sample/../x state maint",
    ]
    manifest = mutations(DESCRIBED).map(json.dumps) | st.just(NEXT.text) | words
    return {
        "manifest": manifest,
        "hashes": st.lists(st.sampled_from(contents) | words, max_size=3),
        "version": st.sampled_from(["1.0", "2.0", "..", "../../outside", "1.0\n", "a" * 129]),
        "digest": st.sampled_from([RELEASE.digest, NEXT.digest, "0" * 64]),
        "generation": st.integers(-1, 3),
        "variables": table,
        "secrets": table,
        "length": st.sampled_from([0, 1, 512, len(PAYLOAD), len(PAYLOAD) * 2]),
        "database": st.sampled_from(files),
        "engine": st.just("sqlite"),
        "commands": st.lists(st.sampled_from(commands), min_size=1),
        "backup": st.sampled_from(["latest", "../../outside/bait", "20260101T000000Z", ""]),
        "lines": st.integers(0, 9),
        "keep": st.integers(1, 3),
        "salt": words,
        "to": words,
        "layers": st.just([]),
        "about": st.dictionaries(words, odd, max_size=2),
        "image": st.just("0" * 64),
        "sha256": st.just("0" * 64),
        "signature": st.none() | words,
        "kind": words,
        "since": st.integers(0, 9),
        "encoding": st.sampled_from(["identity", "gzip"]),
        "tail": st.integers(0, 9),
        "hold": st.fixed_dictionaries(
            {"why": st.sampled_from(["person", "fenced", "x"])}, optional={"by": odd, "since": odd}
        ),
        "action": st.sampled_from(["acquire", "renew", "release", "show"]),
        "ttl": st.integers(0, 60),
        "token": st.integers(0, 3),
        "owner": st.dictionaries(st.sampled_from(["who", "host", "pid", "boot", "start", "why"]), odd, max_size=4),
        "append": st.lists(
            st.fixed_dictionaries({"phase": st.just("begin")}, optional={"kind": odd, "detail": odd}), max_size=2
        ),
        "ledger": st.none() | st.fixed_dictionaries({}, optional={"rollout": odd, "step": odd, "phase": odd}),
    }


@st.composite
def requests(draw: st.DrawFn, home: Path) -> tuple[bytes, bytes]:
    """Draw a request, as it stands on its line, and what is behind it."""
    likely = _likely(home)
    verb = draw(st.sampled_from(sorted(VERBS)))
    request: dict[str, Any] = {"id": draw(odd if draw(st.integers(0, 19)) == 19 else st.integers(0, 9)), "verb": verb}
    for argument in VERBS[verb].arguments:
        usual = st.none() if argument.default is REQUIRED else st.just(argument.default)
        kind = draw(st.integers(0, 29))
        if kind < 27:
            request[argument.name] = draw(likely.get(argument.name, usual))
        elif kind < 29:
            request[argument.name] = draw(odd)
    if draw(st.integers(0, 19)) == 19:
        request[draw(words | st.sampled_from(["token", "ledger"]))] = draw(odd)
    if verb in STARTING:
        request["generation" if verb != "rollback" else "to"] = draw(
            st.sampled_from([0, 2, 3, -1, 2**60, "1", None, [1]])
        )
    request.pop("follow", None)  # it would wait for lines to come
    request.pop("lock_timeout", None)
    payload = PAYLOAD if draw(st.booleans()) else draw(st.binary(max_size=2000))
    line = json.dumps(request).encode()
    if draw(st.integers(0, 19)) == 19:
        at = draw(st.integers(0, len(line) - 1))
        line = line[:at] + draw(st.binary(max_size=5)) + line[at + draw(st.integers(0, 3)) :]
    return line, payload


def check(there: World, line: bytes, payload: bytes) -> str:
    """Send a request, and insist that it ends as it may; give its code."""
    neighbours = there.neighbours
    said = there.ask(line, payload)
    code = "ok" if said["ok"] else str(said["error"]["code"])
    assert code != "bug", said
    assert there.neighbours == neighbours
    problems = there.problems()
    if code != "ok":  # what a refused verb has left under tmp/ is swept away by the next that writes
        problems = [problem for problem in problems if not problem.endswith("was left over")]
    assert not problems, (line, said, problems)
    status = there.ask(b'{"verb": "status"}')
    assert status["ok"], (line, said, status)
    assert os.path.lexists(there.layout.generation(1)), "prune must not take what might be current"
    return code
