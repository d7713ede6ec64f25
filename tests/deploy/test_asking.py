"""A question at the terminal: only a yes is one, and nobody waits longer than the rollout does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy import asking


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Give the two ends of a terminal's line."""
    found = os.pipe()
    yield found
    for end in found:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.mark.parametrize(("typed", "goes_on"), [("y", True), ("YES ", True), ("n", False), ("", False), ("yup", False)])
def test_only_a_yes_goes_on(
    ends: tuple[int, int], typed: str, goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(ends[1], f"{typed}\n".encode())
    with os.fdopen(ends[0], closefd=False) as source:
        assert asking.terminal(["look at web1"], lambda: False, source) is goes_on
    assert capsys.readouterr().err == "look at web1\ngo on? [y/N] "


def test_a_terminal_that_is_gone_says_no(ends: tuple[int, int]) -> None:
    os.close(ends[1])
    with os.fdopen(ends[0], closefd=False) as source:
        assert not asking.terminal([], lambda: False, source)


def test_a_rollout_that_is_stopped_waits_for_no_answer(ends: tuple[int, int]) -> None:
    with os.fdopen(ends[0], closefd=False) as source:
        assert not asking.terminal([], lambda: True, source)


def test_without_a_terminal_nobody_answers_unless_yes_was_said_before() -> None:
    assert asking.whom(yes=False) is None, "pytest's standard input is none"
    answer = asking.whom(yes=True)
    assert answer
    assert answer([], lambda: True)
