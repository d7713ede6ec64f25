"""The protocol: one line a request, errors with a code, and never a traceback for what an operator can cause."""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.agent.errors import from_os_error
from deploy.agent.layout import Layout
from deploy.agent.verbs import COMMON, VERBS
from tests.deploy.agent.kit import HERE, AgentFailure, Caller, call

REFERENCE = HERE.parents[2] / "docs/reference/agent.md"

SOURCE = HERE.parents[2] / "deploy/agent"

REQUESTS = {
    "no JSON": ("{", "bad-request"),
    "no object": ("[]", "bad-request"),
    "deep": ("[" * 100_000, "bad-request"),
    "no UTF-8": (b"\xff\xfe", "bad-request"),
    "empty line": ("", "bad-request"),
    "no verb": ("{}", "unknown-verb"),
    "unknown verb": ('{"verb": "destroy"}', "unknown-verb"),
    "verb is a list": ('{"verb": ["status"]}', "unknown-verb"),
    "missing argument": ('{"verb": "missing"}', "bad-argument"),
    "wrong type": ('{"verb": "missing", "hashes": "all"}', "bad-argument"),
    "unknown argument": ('{"verb": "status", "relases": true}', "bad-argument"),
    "path for a version": ('{"verb": "verify", "version": "../../etc"}', "bad-argument"),
    "infinite": ('{"verb": "trial", "generation": 1, "deadline": 1e999}', "bad-request"),
    "not a number": ('{"verb": "trial", "generation": 1, "deadline": NaN}', "bad-request"),
    "no generation": ('{"verb": "trial", "generation": 7}', "no-generation"),
    "negative payload": ('{"verb": "receive", "length": -1}', "bad-argument"),
}


def test_a_session_survives_every_bad_request(agent: Caller) -> None:
    """Each is answered with its code, and the next request is understood."""
    lines = b""
    for text, _ in REQUESTS.values():
        lines += (text if isinstance(text, bytes) else text.encode()) + b"\n" + b'{"id": "probe", "verb": "status"}\n'
    done = subprocess.run(agent.argv("session"), input=lines, capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["error"]["code"] for answer in answers[::2]] == [code for _, code in REQUESTS.values()]
    assert all(answer["ok"] and answer["id"] == "probe" for answer in answers[1::2])
    assert all(answer["error"]["message"] for answer in answers[::2])


def test_all_wrong_arguments_are_reported_together(layout: Layout) -> None:
    """With a suggestion for a misspelt name, and never with the values of a table."""
    with pytest.raises(AgentFailure) as caught:
        call(layout, "prepare", generaton=1, version=7, digest="x", variables={}, secrets={"PASSWORD": 1234567})
    message = caught.value.error["message"]
    assert "did you mean 'generation'?" in message
    assert all(
        word in message for word in ("generation is missing", "version must be", "digest must be", "secrets must be")
    )
    assert "1234567" not in message


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--version"], 0, "releasectl "),
        (["--help"], 0, "activate"),
        ([], 2, "--root or --name is needed"),
        (["--root"], 2, "--root needs a value"),
        (["--root", "R"], 2, "one verb is expected"),
        (["--root", "R", "destroy"], 2, "no verb 'destroy'"),
        (["--root", "R", "status", "now"], 2, "one verb is expected"),
        (["--rot", "R", "status"], 2, "unknown option --rot"),
        (["--name", "../x", "status"], 2, "is no name"),
    ],
)
def test_the_command_line(zipapp: Path, tmp_path: Path, words: list[str], status: int, said: str) -> None:
    """Unusable command lines exit 2 and show how it is meant."""
    command = [sys.executable, "-I", str(zipapp), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=10, check=False)
    assert done.returncode == status
    assert said in (done.stderr if status else done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_status_touches_nothing(agent: Caller) -> None:
    """Also where nothing is yet."""
    status = agent("status")
    assert (status["current"], status["releases"], status["processes"], status["lease"]) == (None, [], [], None)
    assert not agent.root.exists()


def test_a_request_for_another_verb_than_the_command_line(agent: Caller) -> None:
    """It is refused: one of both is a mistake."""
    done = subprocess.run(
        agent.argv("status"), input=b'{"verb": "prune", "keep": 1}', capture_output=True, timeout=10, check=False
    )
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, "bad-request")


def test_one_writer_at_a_time(agent: Caller) -> None:
    """The second is told who is at work, after the time it would wait; readers don't wait."""
    agent("ledger")
    with (agent.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("activate, pid 4711\n")
        lock.flush()
        began = time.monotonic()
        with pytest.raises(AgentFailure) as caught:
            agent("prune", keep=1, lock_timeout=0.2)
        assert caught.value.code == "busy"
        assert "activate, pid 4711" in caught.value.error["message"]
        assert time.monotonic() - began < 9, "the default is 10 s"
        agent("status")
        agent("lease", action="acquire", owner={"who": "me"}, ttl=1)
    agent("prune", keep=1)


def test_what_a_killed_agent_left_in_tmp_is_swept(layout: Layout) -> None:
    """By the next writing verb."""
    (layout.tmp / "release.1.2").mkdir()
    (layout.tmp / "release.1.2/file").touch()
    (layout.tmp / "x").touch()
    call(layout, "prune", keep=1)
    assert list(layout.tmp.iterdir()) == []


def test_an_operator_who_is_gone_does_not_stop_half_a_verb(agent: Caller) -> None:
    """Nobody reads the answer: the verb is carried out to its end, and nothing is printed on standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    request = {"verb": "ledger", "append": [{"phase": "begin", "step": "alone"}]}
    done = subprocess.run(
        agent.argv("ledger"),
        input=json.dumps(request).encode(),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=10,
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""
    assert agent("ledger")["entries"][0]["step"] == "alone"


def test_errors_of_the_system_have_codes() -> None:
    """With the path, and what to do where it is known."""
    for number, code in ((28, "disk-full"), (13, "permission-denied"), (30, "read-only"), (5, "os-error")):
        error = from_os_error(OSError(number, os.strerror(number), "/srv/x"))
        assert error.code == code
        assert "/srv/x" in error.message


def test_a_root_that_can_not_be(agent: Caller) -> None:
    """A file in the place of the root is the operator's mistake: an error, no traceback."""
    agent.root.write_text("")
    with pytest.raises(AgentFailure) as caught:
        agent("prune", keep=1)
    assert str(agent.root) in caught.value.error["message"]


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_verb_takes_what_its_table_says(verb: Any) -> None:
    """The table, the function behind it and the reference agree."""
    parameters = list(inspect.signature(verb.carry_out).parameters)
    assert parameters == ["agent", *(argument.name for argument in verb.arguments)]
    reference = REFERENCE.read_text()
    rows = [line for line in reference.splitlines() if line.startswith("| ") and f"`{verb.name}`" in line.split("|")[1]]
    assert rows, f"{verb.name} is not in {REFERENCE.name}"
    described = rows[0] + reference.partition("### lease")[2] * (verb.name == "lease")
    for argument in verb.arguments:
        assert re.search(rf"\b{argument.name}\b", described) or "as activate" in described, argument.name
    for argument in COMMON:
        assert f"`{argument.name}`" in reference or f'"{argument.name}"' in reference


def test_every_verb_of_the_reference_exists() -> None:
    """And the help names it."""
    table = REFERENCE.read_text().partition("## Verbs")[2].partition("### status")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == set(VERBS)


def test_a_request_that_is_too_long(zipapp: Path, agent: Caller) -> None:
    """The session ends after saying so: what follows can't be told from payload."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import deploy.agent.channel as c; c.LONGEST = 1000\n"
        "from deploy.agent.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-I", "-c", code, str(zipapp), "--root", str(agent.root), "session"]
    done = subprocess.run(command, input=b"x" * 2000 + b"\n{}\n", capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    [answer] = [json.loads(line) for line in done.stdout.splitlines()]
    assert answer["error"]["code"] == "request-too-long"


def test_every_error_code_is_documented() -> None:
    """And none is that does not exist."""
    table = REFERENCE.read_text().partition("## Error codes")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}
    source = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    raised = set(re.findall(r'(?:AgentError|BadRequest|NotServing|Incomplete)\(\s*"([a-z-]+)"', source))
    raised |= set(re.findall(r'errno\.\w+: \("([a-z-]+)"', source)) | set(re.findall(r'"code": "([a-z-]+)"', source))
    assert documented == raised | {"os-error"}
