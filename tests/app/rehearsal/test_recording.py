from datetime import date, datetime
from decimal import Decimal

import pytest

from app.database.tables import metadata
from app.rehearsal.recording import HERE, decoded, encoded, read
from tests.support.postgres import DATABASES

SELDOM = {"backfills", "datasets", "geocoder_answers"}  # asked by commands, jobs and what tests of the API can't reach


def test_values_come_back_as_they_were() -> None:
    values = {"a": [None, 1, 1.5, "x", b"\x00y"], "b": datetime(2026, 1, 2), "c": date(2026, 1, 2), "d": Decimal("1.2")}  # noqa: DTZ001
    assert decoded(encoded(values)) == values
    with pytest.raises(TypeError, match="a parameter of a statement is a object"):
        encoded(object())


@pytest.mark.parametrize("kind", DATABASES)
def test_each_table_is_asked_in_each_recording(kind: str) -> None:
    statements = " ".join({each.sql for each in read(kind)})
    assert [name for name in metadata.tables if name not in statements and name not in SELDOM] == []


@pytest.mark.parametrize("kind", DATABASES)
def test_no_text_of_the_suite_is_in_a_recording(kind: str) -> None:
    text = (HERE / f"{kind}.json").read_text()
    assert [word for word in ("example.org", "argon2", "correct horse") if word in text] == []


def test_what_was_not_recorded_is_empty() -> None:
    assert read("oracle") == []
