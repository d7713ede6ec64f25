"""The ledger: what was written stays, in order, whatever happened to the last line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy.agent import ledger
from deploy.agent.layout import Layout
from tests.deploy.agent.kit import AgentFailure, Caller, call, small


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"rollout": "r1", "step": f"step {number}", "phase": "begin", "detail": "x" * 500, **more}


def test_entries_come_back_in_order(layout: Layout) -> None:
    """Time and host are filled in; `tail` gives the newest, oldest first."""
    written = call(layout, "ledger", append=[entry(n) for n in range(300)])["entries"]
    assert len(written) == 300
    assert written[0]["time"] > 0
    assert written[0]["host"]
    found = call(layout, "ledger", tail=200)["entries"]
    assert [e["step"] for e in found] == [f"step {n}" for n in range(100, 300)]
    assert call(layout, "ledger", tail=1)["entries"][0]["step"] == "step 299"
    assert call(layout, "ledger", tail=0)["entries"] == []
    assert len(call(layout, "ledger", tail=5000)["entries"]) == 300


def test_a_torn_line_stays_alone(layout: Layout) -> None:
    """A crash in mid-write loses that entry and no other."""
    call(layout, "ledger", append=[entry(1)])
    with layout.ledger.open("ab") as file:
        file.write(b'{"step": "to')
    call(layout, "ledger", append=[entry(2)])
    assert [e["step"] for e in call(layout, "ledger")["entries"]] == ["step 1", "step 2"]


@pytest.mark.parametrize("bad", [{"phase": "started"}, {}, {"phase": "end", "password": "hunter2"}])
def test_an_entry_must_be_one(layout: Layout, bad: dict[str, Any]) -> None:
    """Unknown keys and phases are refused, all or nothing, and no value of them is repeated."""
    with pytest.raises(AgentFailure) as caught:
        call(layout, "ledger", append=[entry(1), bad])
    assert caught.value.code == "bad-entry"
    assert "hunter2" not in str(caught.value)
    assert ledger.tail(layout, 10) == []


def test_a_writing_verb_is_recorded_before_and_after(layout: Layout) -> None:
    """begin and end with seconds, or failed with the reason."""
    told = {"rollout": "r7", "step": "stage", "by": "ada", "version": "1.0"}
    call(layout, "prune", keep=2, ledger=told)
    with pytest.raises(AgentFailure):
        call(layout, "assemble", manifest=small().text, ledger=told)
    entries = call(layout, "ledger")["entries"]
    assert [(e["kind"], e["phase"]) for e in entries] == [
        ("prune", "begin"), ("prune", "end"), ("assemble", "begin"), ("assemble", "failed"),
    ]  # fmt: skip
    assert all(e["rollout"] == "r7" and e["by"] == "ada" for e in entries)
    assert entries[1]["seconds"] >= 0
    assert entries[3]["detail"].startswith("incomplete: ")


def test_many_at_once(agent: Caller) -> None:
    """Agents that append at the same time don't mix their lines."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: agent("ledger", append=[entry(n), entry(n)]), range(8)))
    steps = [e["step"] for e in agent("ledger")["entries"]]
    assert len(steps) == 16
    assert steps[::2] == steps[1::2]
