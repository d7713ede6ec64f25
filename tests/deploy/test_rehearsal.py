"""Whether what runs survives migrations: how its answers are compared, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from deploy import rehearsal
from deploy.agents import AgentError
from deploy.errors import SlipwayError
from deploy.plan import Kind, Step

STEP = Step(Kind.REHEARSE, "web1", "", revision="0001", pending=("0002", "0003"), asks=7)
OLD = ("SELECT old", "no rows", (1,))


def said(*failed: tuple[str, str, Sequence[int]]) -> str:
    entries = [{"sql": sql, "error": error, "runs": list(runs)} for sql, error, runs in failed]
    return "a line of a log\n" + json.dumps({"replayed": 12, "failed": entries})


class Releases:
    """The new release, which notes where the copy is, and the one that runs, which answers what it is told to."""

    def __init__(self, **answers: str | AgentError) -> None:
        self.answers = {"0001": said(OLD), "0002": said(OLD), "0003": said(OLD), **answers}
        self.at, self.calls = "base", list[str]()

    def __call__(self, command: str, *, to: str | None = None, generation: int | None = None) -> str:
        self.calls.append(f"{command} {to or generation}")
        if command == "rehearse":
            self.at = to or ""
            found: Any = self.answers.get(f"to {to}", "")
        else:
            found = self.answers[self.at]
        if isinstance(found, AgentError):
            raise found
        return str(found)


def error(code: str, **more: Any) -> AgentError:
    return AgentError("web1", "migrate", {"code": code, "message": "it failed", **more})


def test_what_failed_before_says_nothing() -> None:
    run = Releases()
    assert (
        rehearsal.rehearse(run, STEP) == "12 statements of what runs, replayed on a scratch copy: none fails after it"
    )
    there = ["rehearse base", "rehearse 0001", "replay 7", "rehearse 0003", "replay 7", "rehearse base"]
    assert run.calls == there


def test_the_first_migration_that_breaks_is_named_with_the_statement_and_what_to_type() -> None:
    worse = said(("SELECT old", "no rows", (1, 4)), ("UPDATE x", "no column x", (2,)))
    with pytest.raises(SlipwayError) as refused:
        rehearsal.rehearse(Releases(**{"0002": worse, "0003": worse}), STEP)
    assert refused.value.message.startswith("web1: migration 0002 breaks generation 7")
    assert refused.value.problems == ("no rows: SELECT old", "no column x: UPDATE x")
    assert "make it an expand migration" in str(refused.value.hint)
    with pytest.raises(SlipwayError, match="migration 0003 breaks"):
        rehearsal.rehearse(Releases(**{"0003": worse}), STEP)


@pytest.mark.parametrize(
    "answers",
    [
        {"to 0001": error("command-failed", returncode=69, detail="log\nmay not create it")},
        {"to 0001": error("command-failed", returncode=1, detail="may not create it")},
        {"0001": error("no-command", detail="may not create it")},
        {"0001": error("command-failed", returncode=69, detail="may not create it")},
    ],
)
def test_what_can_not_be_found_out_is_said_and_stops_nobody(answers: dict[str, Any]) -> None:
    run = Releases(**answers)
    assert rehearsal.rehearse(run, STEP) == "not rehearsed: may not create it"
    assert run.calls[-1] == "rehearse base"


def test_an_answer_that_can_not_be_read_is_none() -> None:
    assert "did not say" in rehearsal.rehearse(Releases(**{"0001": "ok"}), STEP)


def test_a_migration_that_fails_on_the_copy_would_fail_on_the_database() -> None:
    failing = error("command-failed", returncode=1, detail="db rehearse: column exists")
    with pytest.raises(SlipwayError, match="0003 fails on a scratch copy of the schema: db rehearse: column exists"):
        rehearsal.rehearse(Releases(**{"to 0003": failing}), STEP)


def test_a_failure_of_what_runs_is_no_excuse() -> None:
    with pytest.raises(AgentError):
        rehearsal.rehearse(Releases(**{"0001": error("timeout")}), STEP)
