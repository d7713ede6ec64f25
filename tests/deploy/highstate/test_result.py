"""What came of a highstate, as people and machines read it."""

from __future__ import annotations

from typing import Any

from deploy.errors import Exit, SlipwayError
from deploy.highstate.report import Report
from deploy.highstate.result import LINES, Result, State, as_json, details, sentence
from deploy.highstate.run import Outcome
from deploy.secret import Secret, masked


def state(order: int, **more: Any) -> State:
    """Make a state that did nothing, or what is told."""
    given = {"id": f"State {order}", "sls": "base", "function": "file.managed", "name": "/x", "result": True}
    return State(**{**given, "changes": {}, "comment": "as it should be", "ms": 1.0, "order": order, **more})


def told(result: Result, *, test: bool = False, failures_only: bool = False) -> list[str]:
    """Give the lines a person reads."""
    return list(details(result, lambda text: text, test=test, failures_only=failures_only))


def test_a_server_that_is_as_it_should_be_is_one_line() -> None:
    result = Result("web1", (state(1), state(2)))
    assert sentence(result, test=False) == "2 states: 0 changed, 0 failed"
    assert told(result) == []
    assert result.good


def test_a_server_that_was_stopped_says_how_far_it_came() -> None:
    result = Result("web1", (state(1, changes={"mode": "0644"}), state(2)), left=10)
    assert sentence(result, test=False) == "stopped after 2 of 12 states: 1 changed, 0 failed"
    assert not result.good
    assert as_json(result, lambda text: text)["left"] == 10


def test_changes_and_failures_come_in_the_order_they_ran() -> None:
    diff = "--- \n+++ \n@@ -1 +1 @@\n-old\n+new"
    result = Result(
        "web1",
        (
            state(3, result=False, comment="It did not start\nlook there"),
            state(1, changes={"diff": diff, "mode": "0644"}),
            state(2),
        ),
    )
    assert sentence(result, test=False) == "3 states: 1 changed, 1 failed"
    assert told(result) == [
        "  changed  State 1 (base)",
        *(f"      {line}" for line in diff.splitlines()),
        "      mode: 0644",
        "  FAILED  State 3 (base)",
        "      It did not start",
        "      look there",
    ]
    assert told(result, failures_only=True) == told(result)[-3:]
    assert not result.good


def test_a_dry_run_says_what_would_change() -> None:
    result = Result("web1", (state(1, result=None, changes={"newfile": "/x"}), state(2, result=None)))
    assert sentence(result, test=True) == "2 states: 2 would change, 0 failed"
    assert told(result, test=True) == [
        "  would change  State 1 (base)",
        "      newfile: /x",
        "  would change  State 2 (base)",
        "      as it should be",
    ]


def test_packages_commands_and_long_differences_are_short() -> None:
    packages = {f"p{n}": {"old": "", "new": str(n)} for n in range(9)}
    command = {"pid": 7, "retcode": 0, "stdout": "done", "stderr": ""}
    long = {"diff": "\n".join(f"+line {n}" for n in range(LINES + 5))}
    result = Result("web1", (state(1, changes=packages), state(2, changes=command), state(3, changes=long)))
    lines = told(result)
    assert lines[1] == "      9 packages: p0, p1, p2, p3, p4, p5, p6, p7, p8"
    assert lines[3] == "      done"
    assert lines[-1] == "      ... and 5 lines more; --json has them"
    assert told(Result("a", (state(1, changes={"p": {"old": "1", "new": "2"}}),)))[1] == "      p: 1 -> 2"


def test_salts_refusal_is_told_whole() -> None:
    result = Result("web1", (), ("Rendering SLS 'base:app' failed:\nno such pillar",))
    assert sentence(result, test=False) == "Salt refused the states"
    assert told(result) == ["  Rendering SLS 'base:app' failed:", "  no such pillar"]
    assert not result.good


def test_secrets_have_stars_wherever_they_stand() -> None:
    secret = Secret("first line\nsecond-line\nab")
    changes = {
        "diff": "+first line\n+second-line\n+ab",
        "env": {"PASSWORD": "second-line"},
        "second-line": ["first line"],
    }
    result = Result("web1", (state(1, changes=changes, result=False, comment="got first line\nsecond-line\nab"),))

    def mask(text: str) -> str:
        return masked(text, [secret])

    shown = "\n".join(details(result, mask, test=False)) + str(as_json(result, mask))
    assert "first line" not in shown
    assert "second-line" not in shown
    assert "+ab" in shown, "what is that short is a word of its own"


def test_how_it_ended_is_an_exit_code() -> None:
    good, changed = Result("a", (state(1),)), Result("a", (state(1, changes={"x": 1}),))
    failed = Result("b", (state(1, result=False),))
    assert Outcome({"a": good}).exit == Exit.OK
    assert Outcome({"a": changed}).exit == Exit.OK
    assert Outcome({"a": good, "b": failed}).exit == Exit.FAILED_UNCHANGED
    assert Outcome({"a": changed, "b": failed}).exit == Exit.MIXED
    assert Outcome({"a": changed}, {"b": SlipwayError("away")}).exit == Exit.MIXED
    assert Outcome({}, {"b": SlipwayError("away")}).exit == Exit.FAILED_UNCHANGED


def test_people_see_changes_as_they_happen_and_servers_that_were_new_in_short() -> None:
    lines: list[str] = []
    report = Report([Secret("hunter2-secret"), None], lines.append, test=False)
    report.tell("web1", {"event": "hello", "salt": None, "sent": 12_000_000})
    report.tell("web1", {"event": "begin", "id": "One"})
    report.tell("web1", {"event": "end", "id": "One hunter2-secret", "result": True, "changed": True})
    report.tell("web1", {"event": "end", "id": "Two", "result": True, "changed": False})
    report.tell("web1", {"event": "end", "id": "Three", "result": False, "changed": False})
    assert lines == ["  web1     sent 12.0 MB", "  web1     changed  One ***", "  web1     FAILED   Three"]
    lines.clear()
    outcome = Outcome({"web1": Result("web1", (state(1, changes={"x": 1}),))}, {}, {"web1": 2.0})
    report.summary(outcome, fresh=["web1"])
    assert lines == ["web1     1 states: 1 changed, 0 failed, 2.0 s"]
    assert report.as_json(outcome)["hosts"][0]["changed"][0]["changes"] == {"x": 1}
