"""Ledgers of several hosts, put together: as data."""

from __future__ import annotations

from typing import Any

from deploy.history import rollouts


def entry(rollout: str, phase: str, time: float, **more: Any) -> dict[str, Any]:
    """Write an entry as the agent keeps it."""
    return {
        "rollout": rollout,
        "kind": "rollout",
        "phase": phase,
        "time": time,
        "by": "ada@desk",
        "version": "1.0",
        **more,
    }


DONE = [
    entry("r1", "begin", 10.0, generation=1, steps=[["stage", "web1"], ["switch", "web1"]]),
    entry("r1", "end", 12.5, generation=1, exit=0, seconds=2.5, detail="done"),
]
KILLED = [entry("r2", "begin", 20.0, detail="rollback", generation=2)]
FAILED = [entry("r3", "begin", 30.0, detail="restart"), entry("r3", "failed", 31.0, exit=21, seconds=1.0, detail="why")]


def test_one_entry_a_rollout_newest_first() -> None:
    past = rollouts({"web1": [*DONE, *KILLED], "web2": [*DONE, *FAILED]})
    assert [(p.rollout, p.task, p.outcome, p.hosts) for p in past] == [
        ("r3", "restart", "failed rolled back", ("web2",)),
        ("r2", "rollback", "no end: still at work, or killed", ("web1",)),
        ("r1", "deploy", "ok", ("web1", "web2")),
    ]
    first = past[-1]
    assert (first.by, first.begun, first.seconds, first.steps, first.message) == ("ada@desk", 10.0, 2.5, 2, "done")


def test_an_end_that_only_one_host_has_counts() -> None:
    """The other one was gone by then."""
    assert rollouts({"web1": DONE[:1], "web2": DONE})[0].exit == 0


def test_steps_and_entries_of_something_else_are_left_out() -> None:
    assert rollouts({"web1": [entry("r1", "begin", 1.0) | {"kind": "stage"}, {"kind": "rollout"}]}) == []
    assert rollouts({}) == []


def test_an_exit_code_of_another_version_is_shown_as_it_is() -> None:
    assert rollouts({"web1": [entry("r1", "end", 1.0, exit=77)]})[0].outcome == "exit 77"
