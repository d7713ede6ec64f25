"""Readers of what comes from outside, each with something that it understands, for tests that change that a little."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy import contract, environment, head_start, saved_plan, secrets_file, statuses
from deploy.agent import manifest
from deploy.agent.errors import AgentError
from deploy.balancer import Balancer
from deploy.errors import SlipwayError
from deploy.facts import host_from_status
from deploy.plan import Group, Kind, Plan, Step, Target
from tests.deploy.agent import kit
from tests.support.fuzzing import mutated_lines, mutations
from tests.support.repository import ROOT

TOML = [
    '""',
    '"x"',
    "0",
    "-1",
    "1.5",
    "1e400",
    "nan",
    "true",
    "[]",
    "[[]]",
    '["x"]',
    "{}",
    "{a = 1}",
    '"\\u0000"',
    "1979-05-27",
    '"../../x"',
    '"/etc/passwd"',
    '"-x"',
    '"10.0.0.1:99999"',
    '"[::1]:80"',
    "99999999999999999999",
    '"""',
    "'",
    '"50 %"',
    '"1h"',
]
PLAN = Plan(Target(2, "2.0", "d" * 64, "e" * 64), (Group("stage", ((Step(Kind.STAGE, "web1", "new", files=3),),)),))
STATUS = {
    "agent": "1+abc",
    "name": "sample",
    "host": {"platform": "linux-x86_64", "pythons": {"3.11": "/usr/bin/python3.11"}, "disk_free": 1, "time": 1.0},
    "releases": [
        {"version": "1.0", "digest": "d", "complete": True, "problems": 0, "migrations": ["0001"], "contracts": []}
    ],
    "generations": [
        {
            "number": 1,
            "version": "1.0",
            "digest": "d",
            "env_digest": "e",
            "created": 1.0,
            "activated": None,
            "migrated": False,
            "migrated_to": "",
        }
    ],
    "unreadable": [],
    "current": 1,
    "processes": [{"generation": 1, "process": "web", "pid": 7, "ready": True, "workers": 2, "since": 1.0}],
    "listening": "127.0.0.1:1",
    "lacking": [],
    "forms": {"rpm": []},
    "lease": None,
    "lease_number": 0,
    "signers": None,
}
STAT = (
    "# pxname,svname,scur,qcur,status,check_status,"
    "hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,eresp,wretr,wredis,rtime\n"
    "shop,web1,0,0,UP,L7OK,1,2,3,4,0,0,0,0,5\nshop,web2,1,,DOWN 1/2,* L4CON,,,,,,,,,\n"
)
STATES = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n"
    "3 shop 1 web1 10.0.0.1 2 0 1 8000\n3 shop 2 web2 ::1 0 1 1 8000\n"
)
HOLDS = {"web2": {"why": "person", "rollout": "", "by": "ada", "since": 1.0}}


@dataclass(frozen=True)
class Reader:
    """One kind of what comes from outside: what is drawn, and how it is read."""

    name: str
    drawn: st.SearchStrategy[Any]
    read: Callable[[Path, Any], object]

    def fuzz(self, folder: Path, examples: int) -> collections.Counter[str]:
        """Read many; count those that were understood and those that were refused. All else is an error."""
        counted: collections.Counter[str] = collections.Counter()

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        @given(self.drawn)
        def each(value: Any) -> None:
            try:
                self.read(folder, value)
                counted["understood"] += 1
            except (SlipwayError, AgentError):
                counted["refused"] += 1

        each()
        return counted


def _environment(folder: Path, text: str) -> None:
    (folder / "fuzz.toml").write_text(text, encoding="utf-8", newline="")
    read = environment.read("fuzz", folder)
    _ = (read.web, read.doors, read.url, read.path) if read.web else read.path


def _secrets(folder: Path, text: str) -> None:
    found = secrets_file.parse(text, "fuzz")
    assert all(isinstance(value, str) for value in found.values())


def _plan(folder: Path, content: Any) -> None:
    path = folder / "plan"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    saved = saved_plan.read(path)
    _ = saved.limit, saved.difference("staging", PLAN)


def _head_start(folder: Path, content: Any) -> None:
    """Nothing is refused here: a record that is odd is as good as none. None of these may be a command."""
    (folder / "deploy/environments").mkdir(parents=True, exist_ok=True)
    (folder / "deploy/environments/staging.toml").write_text("")
    head_start.remember("staging", folder, [["true"]])
    record = folder / "var/head-start/staging.json"
    content = (
        {**content, "rests on": json.loads(record.read_text())["rests on"]} if isinstance(content, dict) else content
    )
    record.write_text(json.dumps(content), encoding="utf-8")
    commands = head_start._read("staging", folder)
    assert all(command and all("\0" not in word for word in command) for command in commands)
    if commands != [["true"]]:
        raise SlipwayError("none")


def _status(folder: Path, content: Any) -> None:
    host = host_from_status("web1", "10.0.0.1:8000", statuses.require("web1", content), None)
    _ = (host.serving, host.working, host.moves, host.has("1.0", "d"), sorted(g.number for g in host.generations))


def _balancer(folder: Path, texts: tuple[str, str, Any]) -> None:
    stat, states, holds = texts

    def send(*commands: str, change: bool = False, hold: Any = None) -> list[str]:
        answers = {"show stat": stat, "show serv": states, "show hold": json.dumps(holds), "show info": stat}
        return [answers[command[:9]] for command in commands]

    balancer = Balancer("shop", send)
    balancer.servers()
    balancer.counters()


def _manifest(folder: Path, content: Any) -> None:
    found = manifest.parse(json.dumps(content).encode())
    _ = found.contract, [migration["revision"] for migration in found.raw.get("migrations", [])]


def _contract(folder: Path, text: str) -> None:
    contract.parse(text).for_manifest()


def _lines(paths: Sequence[Path]) -> st.SearchStrategy[str]:
    texts = [path.read_text() for path in paths]
    return st.sampled_from(texts).flatmap(lambda text: mutated_lines(text, TOML))


def _described() -> dict[str, Any]:
    """Describe a release in all that a contract may say."""
    more = {
        "smoke": [{"path": "/", "status": 200, "text": None}],
        "config_files": {"a/b.cfg": "A_B"},
        "state_dirs": ["a"],
    }
    described = kit.manifest_of({"lib/a.py": b"a"})
    return {**described, "contract": {**described["contract"], **more, "links": {}, "secrets_in_environment": True}}


_PLAN = {
    "schema": 1,
    "environment": "staging",
    "salt": "0" * 32,
    "mark": "1" * 64,
    "plan": {
        "version": "2.0",
        "digest": "d" * 64,
        "generation": 2,
        "limit": ["web1"],
        "groups": [{"title": "stage", "lanes": [[{"kind": "stage", "host": "web1", "why": "new"}]]}],
    },
}

READERS = [
    Reader("environment file", _lines(sorted((ROOT / "deploy/environments").glob("*.toml"))), _environment),
    Reader("contract", _lines([ROOT / "pyproject.toml"]), _contract),
    Reader(
        "secrets file",
        mutated_lines("# ours\nA='x y'\nexport B=2\nC=\"a\\nb\"\n", ["'", '"', "x # y", "$A", "\\"]),
        _secrets,
    ),
    Reader("saved plan", mutations(_PLAN) | st.sampled_from(["", "[" * 100_000, "é", "\x00"]), _plan),
    Reader("head-start record", mutations({"commands": [["true"]]}), _head_start),
    Reader("status of an agent", mutations(STATUS), _status),
    Reader(
        "answers of HAProxy",
        st.tuples(mutated_lines(STAT, TOML), mutated_lines(STATES, TOML), mutations(HOLDS) | st.just(HOLDS)),
        _balancer,
    ),
    Reader("manifest", mutations(_described()), _manifest),
]
