"""Which migrations run now, which wait and for whom, and what can't come back after them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.facts import Generation, Host, Process, Release
from deploy.plan import Target
from deploy.schema import applied, decide, forbids, old_shape

CHAIN = ("0001", "0002", "0003", "0004")
TARGET = Target(9, "9.0", "d9", "e", migrations=CHAIN[:2], migrate_stops=True)


def release(version: str, count: int, contracts: frozenset[str] = frozenset()) -> Release:
    """Make a release that knows the first revisions."""
    known = CHAIN[:count]
    return Release(version, f"d{version}", complete=True, migrations=known, contracts=contracts & {*known})


def host(*ran: tuple[int, Release], to: str | None = None, serves: bool = True) -> Host:
    """Make a host whose generations were ready once, newest last; the newest migrated up to `to`, when given."""
    generations = [Generation(n, r.version, r.digest, "e", activated=float(n)) for n, r in ran]
    if to is not None:
        generations[-1] = replace(generations[-1], migrated=True, migrated_to=to)
    current = generations[-1].number if generations else None
    processes = (Process(current, 1, ready=True),) if current and serves else ()
    releases = tuple(r for _, r in ran)
    return Host("web1", "", releases=releases, generations=tuple(generations), current=current, processes=processes)


DROPS = replace(TARGET, contract_migrations=frozenset({"0002"}))
CONTRACT = frozenset({"0002"})


def test_what_is_new_runs_to_the_end() -> None:
    decision = decide([host((1, release("1.0", 1)))], TARGET)
    assert (decision.run, decision.to, decision.waiting, decision.problem) == (("0002",), "0002", (), "")


def test_nothing_runs_where_nothing_is_new() -> None:
    assert decide([host((1, release("2.0", 2)))], TARGET).run == ()


def test_all_are_looked_at_when_nothing_is_ready_any_more() -> None:
    assert decide([host((1, release("2.0", 2)), serves=False)], TARGET).run == CHAIN[:2]
    assert decide([Host("web1", "")], TARGET).run == CHAIN[:2]


def test_a_contract_waits_for_whoever_needs_the_old_shape() -> None:
    decision = decide([host((1, release("1.0", 1)))], DROPS)
    assert (decision.run, decision.waiting) == ((), ("0002",))
    assert decision.needed_by == ("generation 1 (1.0)",)


def test_a_contract_runs_once_all_that_may_come_back_know_it() -> None:
    """The release that brought it is what runs, and nothing older is kept."""
    decision = decide([host((4, release("2.0", 2, CONTRACT)))], DROPS)
    assert (decision.run, decision.to, decision.waiting) == (("0002",), "0002", ())


def test_a_generation_that_never_ran_needs_nothing() -> None:
    staged = host((1, release("2.0", 2, CONTRACT)))
    staged = replace(
        staged,
        releases=(*staged.releases, release("1.0", 1)),
        generations=(*staged.generations, Generation(2, "1.0", "d1.0", "e")),
    )
    assert old_shape([staged], DROPS, "0002") == ()


def test_a_contract_waits_for_what_runs_though_it_was_never_active() -> None:
    """An agent was killed between the start of a generation and its end: it serves on the shared socket."""
    old, new = release("1.0", 1), release("2.0", 2)
    there = host((2, new))
    begun = Generation(3, old.version, old.digest, "e")
    left = replace(there, releases=(old, new), generations=(*there.generations, begun))
    assert old_shape([left], DROPS, "0002") == ()
    running = replace(left, processes=(*there.processes, Process(3, 2, ready=True)))
    assert old_shape([running], DROPS, "0002") == ("generation 3 (1.0)",)


def test_an_expand_behind_a_waiting_contract_is_refused() -> None:
    target = replace(TARGET, migrations=CHAIN[:3], contract_migrations=CONTRACT)
    problem = decide([host((1, release("1.0", 1)))], target).problem
    assert problem.startswith(
        "migration 0003 comes after contract migration 0002, which has to wait: generation 1 (1.0)"
    )


def test_a_command_that_can_not_stop_is_refused_only_where_it_would_go_too_far() -> None:
    target = replace(TARGET, migrations=CHAIN[:3], contract_migrations=frozenset({"0003"}), migrate_stops=False)
    assert "{revision}" in decide([host((1, release("1.0", 1)))], target).problem
    assert decide([host((1, release("1.1", 2)))], target).problem == ""
    assert decide([host((1, release("1.0", 1)))], replace(target, migrate_stops=True)).to == "0002"


@pytest.mark.parametrize(
    ("to", "found"), [("0002", {"0001", "0002"}), ("0003", {"0001", "0002", "0003"}), ("", {"0001", "0002", "0003"})]
)
def test_a_mark_says_how_far_a_generation_migrated(to: str, found: set[str]) -> None:
    assert applied([host((1, release("3.0", 3, frozenset({"0003"}))), to=to)]) == found


def test_one_that_was_ready_shows_all_but_the_contracts_at_the_end() -> None:
    assert applied([host((1, release("4.0", 4, frozenset({"0003", "0004"}))))]) == {"0001", "0002"}
    assert applied([host((1, release("4.0", 4, frozenset({"0003"}))))]) == {*CHAIN}, "an expand needs what it follows"


def test_what_is_from_before_a_contract_can_not_come_back() -> None:
    there = [host((1, release("1.0", 1)), (2, release("2.0", 2, CONTRACT)), to="0002")]
    old = replace(TARGET, version="1.0", migrations=CHAIN[:1])
    assert forbids(there, old).startswith("contract migration 0002 ran, and 1.0 is from before")
    assert forbids(there, DROPS) == ""
    waiting = [host((1, release("1.0", 1)), (2, release("2.0", 2, CONTRACT)), to="0001")]
    assert forbids(waiting, old) == ""


counts = st.integers(1, 4)
ran = st.lists(st.tuples(counts, st.booleans()), max_size=4)


@given(ran, counts, st.frozensets(st.sampled_from(CHAIN)), st.sampled_from(["", *CHAIN]), st.booleans())
def test_no_contract_runs_while_something_that_does_not_know_it_may_come_back(
    generations: list[tuple[int, bool]], knows: int, contracts: frozenset[str], to: str, serves: bool
) -> None:
    made = [(n, release(f"{n}.0", count, contracts)) for n, (count, _) in enumerate(generations, 1)]
    there = [host(*made, to=to if made and made[-1][1].migrations.count(to) else None, serves=serves)]
    target = replace(TARGET, migrations=CHAIN[:knows], contract_migrations=contracts & {*CHAIN[:knows]})
    decision = decide(there, target)
    new = set(decision.run) - applied(there)
    for revision in new & contracts:
        assert all(revision in r.migrations for _, r in made)
    if not decision.problem:
        assert decision.allowed == CHAIN[: len(decision.allowed)], "never a revision without those before it"
        assert all(r in contracts for r in decision.waiting), "what the release needs does not wait"
        assert not decision.run or decision.to == decision.run[-1]
