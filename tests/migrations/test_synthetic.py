"""A recording has nobody's values, and still tells what statements are run with."""

from __future__ import annotations

import json

from tests.migrations.synthetic import READS, recording

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
