"""Sequences of faults against the simulated fleet: ten thousand seeds, hypothesis, and engines broken on purpose.

.venv/bin/python -m tests.faults.sequences 4711      # replays a seed, and says all that happened
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from deploy import batches, plan, schema
from deploy.agent import holds, lease, prune
from deploy.facts import Host
from tests.faults import sequences
from tests.faults.sequences import Sequence, play
from tests.faults.simulated import Deployer
from tests.faults.table import CASES

SEEDS = int(os.environ.get("SLIPWAY_SEEDS", "10000"))
T = TypeVar("T")


@pytest.mark.timeout(3600)
def test_promises_hold_through_ten_thousand_sequences_of_faults(
    record_property: Callable[[str, object], None],
) -> None:
    with ProcessPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        found = [problem for problem in pool.map(play, range(SEEDS), chunksize=50) if problem]
    assert not found, f"{len(found)} of {SEEDS}; the shortest:\n{min(found, key=len)}"
    record_property(CASES, SEEDS)


class Drawn:
    """Chance in hypothesis' hands: what it finds it makes shorter."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def choice(self, among: Any) -> Any:
        """Draw one of several."""
        return self._data.draw(st.sampled_from(list(among)))

    def random(self) -> float:
        """Draw a share."""
        return float(self.choice([0.0, 0.45, 0.99]))


class Fleet(RuleBasedStateMachine):
    """Anything may happen at any time; the promises are looked at after each effect."""

    def __init__(self) -> None:
        super().__init__()
        self.sequence = Sequence(0)

    @rule(data=st.data(), what=st.sampled_from(sorted(set(sequences.HAPPENINGS))))
    def happens(self, data: st.DataObject, what: str) -> None:
        """Let one thing happen."""
        self.sequence.chance = Drawn(data)
        getattr(self.sequence, what)()

    def teardown(self) -> None:
        """Mend everything, and deploy."""
        self.sequence.chance = Sequence(0).chance
        self.sequence.converges()


def test_promises_hold_whatever_hypothesis_thinks_of() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Fleet,
        settings=settings(
            max_examples=300, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def given_to_anyone(held: Any, owner: Any, ttl: float, now: float, is_gone: Any, at_least: int = 0) -> lease.Lease:
    return lease.Lease(owner, max(held.token, at_least), now + ttl)


# A promise, and engines that don't keep it: what is replaced, and by what.
MUTANTS: dict[str, tuple[str, list[tuple[Any, str, Any]]]] = {
    "drains without counting": (
        "floor",
        [(batches.Policy, "may_leave", lambda *_: 99), (batches, "may_drain", lambda *_: True)],
    ),
    "drains though another has died since": ("floor", [(batches, "may_drain", lambda *_: True)]),
    "writes no ledger": ("known", [(Deployer, "_journal", lambda *_: None)]),
    "contracts at once": ("schema", [(schema, "old_shape", lambda *_: ())]),
    "brings old code back on a contracted schema": ("schema", [(schema, "forbids", lambda *_: "")]),
    "gives the lease to anyone": ("alone", [(lease, "acquire", given_to_anyone)]),
    "listens to who was overtaken": (
        "alone",
        [(Deployer, "refuses", staticmethod(lambda *_: False)), (Deployer, "believes", lambda _: True)],
    ),
    "lets the fenced back by themselves": ("fenced", [(holds, "of_vanished", sorted)]),
    "prunes by age alone": ("kept", [(prune, "doomed", lambda known, *_: [g.number for g in known][:-1])]),
    "forgets who was drained": ("converges", [(Host, "in_place", True)]),
    "does not look at files": ("converges", [(plan, "_stage", lambda *_: plan.Group("stage", ()))]),
}


@pytest.mark.parametrize(("promise", "replaced"), MUTANTS.values(), ids=MUTANTS)
def test_a_broken_engine_is_found(
    monkeypatch: pytest.MonkeyPatch, promise: str, replaced: list[tuple[Any, str, Any]]
) -> None:
    for where, name, by in replaced:
        monkeypatch.setattr(where, name, by)
    problems = (problem for seed in range(2000) if (problem := play(seed)))
    found = next((problem for problem in problems if f": {promise}: " in problem.partition("\n")[0]), None)
    assert found, f"2,000 seeds did not show that {promise} is broken"


def test_a_seed_is_always_the_same_sequence() -> None:
    first, second = Sequence(42), Sequence(42)
    first.play()
    second.play()
    assert first.told == second.told
    assert len(first.told) > 20
