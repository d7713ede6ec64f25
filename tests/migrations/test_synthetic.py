"""A recording has nobody's values, and still tells what statements are run with."""

from __future__ import annotations

import json

import pytest

from tests.migrations.synthetic import READS, recording, shape, unknown

ADD = "INSERT INTO users (email, name, kind) VALUES (?, ?, ?)"


def line(sql: str, *values: object) -> str:
    return json.dumps({"sql": sql, "values": [list(values)]})


def test_texts_keep_their_shape_and_stay_equal_or_different() -> None:
    trace = [line(ADD, email, "Zoë", "reset") for email in ("ann@x.org", "bob@x.org", "ann@x.org")]
    made = json.loads(recording(trace, frozenset({"reset"})))
    assert made["statements"] == [ADD]
    first, second, third = (values for _, values in made["runs"])
    assert first == ["aaa@a.aaa", "Aaé", "reset"]
    assert second[0] == "aaa@a.aab"
    assert third == first


def test_moments_keep_their_order_and_json_its_build() -> None:
    late, early = {"$datetime": "2026-05-05T10:00:00"}, {"$datetime": "2025-01-01T00:00:00"}
    made = json.loads(recording([line(ADD, late, early, '{"a": [true, "Ann"]}', 38.7)], frozenset()))
    ((_, values),) = made["runs"]
    assert values[0]["$datetime"] > values[1]["$datetime"]
    assert json.loads(values[2]) == {"a": [True, "Aaa"]}
    assert values[3] == 38.0


def test_of_what_reads_a_few_are_kept() -> None:
    made = json.loads(recording([line("SELECT 1", number) for number in range(9)], frozenset()))
    assert len(made["runs"]) == READS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT x FROM t WHERE id IN (?, ?)", "SELECT x\nFROM t WHERE id IN (?)"),
        (
            "SELECT x FROM t WHERE id IN (%(a)s::INTEGER, %(b)s::INTEGER) AND d > %(d)s::TIMESTAMP WITH TIME ZONE",
            "SELECT x FROM t WHERE id IN (%(a)s::INTEGER) AND d > %(d)s::TIMESTAMP WITH TIME ZONE",
        ),
        (
            "SELECT x FROM t WHERE (t.z BETWEEN ? AND ? OR t.z BETWEEN ? AND ?)",
            "SELECT x FROM t WHERE (t.z BETWEEN ? AND ?)",
        ),
    ],
)
def test_how_many_values_a_statement_has_makes_it_no_other(one: str, other: str) -> None:
    assert shape(one) == shape(other)
    assert unknown([line(one, 1)], [other]) == []


@pytest.mark.parametrize("changed", ["SELECT x, y FROM t WHERE id IN (?)", "SELECT x FROM t WHERE z IN (?)"])
def test_a_statement_that_was_not_recorded_is_told(changed: str) -> None:
    assert unknown([line(changed, 1), line(changed, 2)], ["SELECT x FROM t WHERE id IN (?)"]) == [changed]


def test_what_is_asked_of_the_schema_need_not_be_recorded() -> None:
    assert unknown([line("SELECT version_num FROM alembic_version")], []) == []
