"""`prune`: what nobody will go back to goes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.agent import generations
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.prune import doomed
from tests.deploy.agent.kit import Release, call, receive_request, small


def some(*activated: int, never: tuple[int, ...] = ()) -> list[Generation]:
    """Make generations that were activated in this order."""
    return [
        Generation(
            number, "v", "d", "e", 0.0, {}, (), float(activated.index(number)) if number in activated else None, False
        )
        for number in sorted({*activated, *never})
    ]


CASES = {
    "nothing here": ([], None, [], 2, []),
    "few enough": (some(1, 2), 2, [2], 2, []),
    "oldest goes": (some(1, 2, 3), 3, [3], 2, [1]),
    "what was gone back to stays": (some(2, 3, 4, 1, 5), 5, [5], 2, [2, 3, 4]),
    "running stays": (some(1, 2, 3), 3, [1, 3], 2, []),
    "current stays though old": (some(1, 2, 3, 4), 1, [1], 2, []),
    "below current only": (some(1, 2, 3, 4), 2, [2], 2, [1]),
    "failed trial was overtaken": (some(1, 3, never=(2,)), 3, [3], 2, [2]),
    "a rollout is at it": (some(1, 2, never=(3,)), 2, [2], 2, []),
    "nothing current": (some(1, 2, 3), None, [], 1, []),
}


@pytest.mark.parametrize(("known", "current", "running", "keep", "expected"), CASES.values(), ids=CASES)
def test_what_is_doomed(
    known: list[Generation], current: int | None, running: list[int], keep: int, expected: list[int]
) -> None:
    """Decided from facts alone."""
    assert doomed(known, current, running, keep) == expected


NUMBERS = st.sets(st.integers(1, 12))


@given(NUMBERS, NUMBERS, st.none() | st.integers(1, 12), NUMBERS, st.integers(1, 4))
def test_what_is_never_doomed(
    activated: set[int], never: set[int], current: int | None, running: set[int], keep: int
) -> None:
    """Neither current, nor running, nor the newest activated, nor the target of a rollback while two are kept."""
    known = some(*sorted(activated), never=tuple(never))
    chosen = set(doomed(known, current, running, keep))
    assert not chosen & {current, *running, *sorted(activated)[-keep:]}
    assert chosen <= activated | never


def test_the_release_of_a_generation_that_can_not_be_read_stays(layout: Layout) -> None:
    """It may be running."""
    one = small("1.0")
    call(layout, **receive_request(one))
    call(layout, "assemble", manifest=one.text)
    call(layout, "prepare", generation=1, version="1.0", digest=one.digest, variables={}, secrets={})
    (layout.generation(1) / "meta.json").write_text("{")
    assert call(layout, "prune", keep=1) == {"generations": [], "releases": [], "bytes": 0}


def test_pruning_frees_what_only_old_generations_used(layout: Layout) -> None:
    """Generations, then releases, then contents; a second time there is nothing to do."""
    one, orphan = small("1.0"), Release("0.9", {"lib/never.py": b"n" * 1000})
    for release in (one, one.variant("2.0"), one.variant("3.0"), orphan):
        call(layout, **receive_request(release))
        call(layout, "assemble", manifest=release.text)
    for number, version in enumerate(("1.0", "2.0", "3.0"), 1):
        digest = next(r["digest"] for r in call(layout, "status")["releases"] if r["version"] == version)
        call(layout, "prepare", generation=number, version=version, digest=digest, variables={}, secrets={})
        generations.mark(layout, number, "activated")
    generations.set_current(layout, 3)
    for key in ("1", "trial-1"):
        layout.log_file(key).write_text("said")
    with generations.in_use(layout, 1):
        assert call(layout, "prune", keep=2)["generations"] == []
    pruned = call(layout, "prune", keep=2)
    assert (pruned["generations"], pruned["releases"]) == ([1], ["1.0"])
    status = call(layout, "status")
    assert [release["version"] for release in status["releases"]] == ["2.0", "3.0"]
    assert all(release["complete"] for release in status["releases"])
    assert not layout.log_file("1").exists()
    assert not layout.log_file("trial-1").exists()
    assert call(layout, "prune", keep=2) == {"generations": [], "releases": [], "bytes": 0}
    assert call(layout, "missing", hashes=sorted(orphan.contents))["missing"] == sorted(orphan.contents)
