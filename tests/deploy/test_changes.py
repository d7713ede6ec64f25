"""Variables that change: what is told of them, and that no secret is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.announcing import marked
from deploy.changes import Change, Marked, changes, mark
from deploy.secret import Secret
from deploy.variables import Variables

SALT = "pinch"


def compared(running: dict[str, str], wanted: dict[str, str], **secret: tuple[str | None, str | None]) -> list[str]:
    """Compare variables, and secrets given as (running, wanted)."""
    marks = {name: mark(SALT, before) for name, (before, _) in secret.items() if before is not None}
    secrets = {name: Secret(after) for name, (_, after) in secret.items() if after is not None}
    return [str(change) for change in changes(Marked(running, marks), marked(Variables(wanted, secrets), SALT))]


def test_what_stays_is_not_told_and_what_changes_is() -> None:
    assert compared({"A": "1", "B": "2", "C": "3"}, {"A": "1", "B": "4", "D": "5"}) == [
        "B: 2 -> 4",
        "C goes (was 3)",
        "D is new: 5",
    ]
    assert compared({"A": "1"}, {"A": "1"}, KEY=("k", "k")) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("hunter2", "hunter3", ["KEY changes (***)"]),
        (None, "hunter3", ["KEY is new: ***"]),
        ("hunter2", None, ["KEY goes (was ***)"]),
    ],
)
def test_of_a_secret_only_that_it_changes(before: str | None, after: str | None, told: list[str]) -> None:
    assert compared({}, {}, KEY=(before, after)) == told


def test_a_variable_that_becomes_a_secret_changes() -> None:
    assert compared({"KEY": "k"}, {}, KEY=(None, "k")) == ["KEY: k -> ***"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DATABASE_URL", "postgresql+psycopg://app:hunter2@10.0.0.1/app", "postgresql+psycopg://app:***@10.0.0.1/app"),
        ("DATABASE_URL", "postgresql+psycopg://app@10.0.0.1/app", "postgresql+psycopg://app@10.0.0.1/app"),
        ("MAIL_PASSWORD", "hunter2", "***"),
        ("GITHUB_TOKEN", "hunter2", "***"),
        ("MOTD", "one\ntwo", "one\\ntwo"),
        ("LIST", "x" * 100, "x" * 57 + "..."),
    ],
)
def test_what_people_write_into_variables_that_is_not_for_a_screen(name: str, value: str, shown: str) -> None:
    assert compared({}, {name: value}) == [f"{name} is new: {shown}"]


@given(st.text(min_size=8), st.text(min_size=8))
def test_no_value_of_a_secret_is_ever_told(before: str, after: str) -> None:
    marks, wanted = {"KEY": mark(SALT, before)}, Variables({}, {"KEY": Secret(after)})
    found = changes(Marked({}, marks), marked(wanted, SALT))
    assert found == (() if before == after else (Change("KEY", "***", "***"),))
