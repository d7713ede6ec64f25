"""Ledgers of several hosts, put together: as data."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from deploy.errors import Exit
from deploy.history import came_back, describe, last_step, rollouts, unfinished


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
        ("r2", "rollback", "killed", ("web1",)),
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


def told(*rows: tuple[str, int | None]) -> Any:
    """Write what was done, oldest first: the task and its exit code, None when it never ended."""
    ledger = []
    for number, (task, code) in enumerate(rows):
        ledger.append(entry(f"r{number}", "begin", float(number), detail=task, generation=number, before=number - 1))
        if code is not None:
            phase = "failed" if code else "end"
            ledger.append(entry(f"r{number}", phase, number + 0.5, exit=code, detail="said"))
    return rollouts({"web1": ledger})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), None),
        ((("deploy", 0),), None),
        ((("deploy", 0), ("deploy", None)), "r1"),
        # What brought the hosts to something since is what counts.
        ((("deploy", None), ("deploy", 0)), None),
        ((("deploy", None), ("rollback", 21)), None),
        ((("deploy", None), ("deploy", 30)), None),
        # What changed nothing, or looks after what runs, does not.
        ((("deploy", None), ("deploy", 20)), "r0"),
        ((("deploy", None), ("restore", 0)), "r0"),
        ((("deploy", None), ("maintenance on", 0)), "r0"),
        ((("deploy", None), ("resume", 20)), "r0"),
        # The newest of several; upkeep only when there is nothing else.
        ((("deploy", None), ("deploy", None)), "r1"),
        ((("deploy", None), ("restart", None)), "r0"),
        ((("deploy", 0), ("restart", None)), "r1"),
        # It lost its lease: whoever took it brought the hosts on, or nobody did.
        ((("deploy", 3),), "r0"),
        ((("deploy", 3), ("deploy", 0)), None),
    ],
)
def test_the_rollout_that_is_to_be_gone_on_with(rows: tuple[tuple[str, int | None], ...], expected: str | None) -> None:
    found = unfinished(told(*rows))
    assert (found.rollout if found else None) == expected
    assert found is None or found.before == int(found.rollout[1:]) - 1


def test_one_that_another_came_after_is_at_work_no_more() -> None:
    past = told(("deploy", None), ("deploy", None))
    assert [entry.outcome for entry in past] == ["no end: still at work, or killed", "killed"]


def test_an_end_that_was_written_later_counts() -> None:
    """As `resume` and `abort` do for the rollout that they end."""
    ledger = [*KILLED, entry("r2", "failed", 99.0, exit=int(Exit.FAILED_ROLLED_BACK), detail="ended by bob@desk")]
    assert unfinished(rollouts({"web1": KILLED, "web2": ledger})) is None


def test_servers_that_came_back_by_themselves_are_known_by_who_did_it() -> None:
    by_itself = entry("r2", "end", 25.0, kind="restore", host="web1", by="releasectl")
    by_hand = entry("r2", "end", 26.0, kind="restore", host="web2")
    assert came_back([by_itself, by_hand, {"kind": "rollout"}]) == ["web1"]


def test_what_was_found_is_said_in_one_line() -> None:
    steps = [
        entry("r2", "begin", 21.0, kind="stage", host="web1"),
        entry("r2", "end", 22.0, kind="stage", host="web1"),
        entry("r2", "begin", 23.0, kind="switch", host="web1"),
        entry("r2", "begin", 20.0, host="web1"),
    ]
    past = told(("deploy", None))[0]
    noon = time.mktime((2026, 11, 23, 12, 0, 0, 0, 0, -1))
    said = describe(replace(past, begun=noon), last_step(steps), now=noon + 60)
    assert said == "rollout r0 (deploy of 1.0 as generation 0), by ada@desk, began 12:00, last step: switch web1"
    assert "began 2026-11-23 12:00, last step: none" in describe(replace(past, begun=noon), last_step([]), noon + 1e6)
    assert last_step([entry("r2", "failed", 24.0, kind="ready", host="web2")]) == "ready web2, which failed"
