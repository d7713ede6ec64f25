"""Which log lines are meant: by time, level and request."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.agent.arguments import LEVELS
from deploy.agent.log_filter import Filter, parse, time_of


def line(at: float = 1000.0, level: str = "INFO", request_id: str | None = None) -> str:
    """Write a line as the app does."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, "level": level, "message": "m", "request_id": request_id})


@pytest.mark.parametrize(
    ("chosen", "text", "wanted"),
    [
        (Filter(), "anything", True),
        (Filter(level="warning"), line(level="INFO"), False),
        (Filter(level="warning"), line(level="WARNING"), True),
        (Filter(level="warning"), line(level="CRITICAL"), True),
        (Filter(level="warning"), line(level="of its own"), False),
        (Filter(since=1000.0), line(999.5), False),
        (Filter(since=1000.0), line(1000.0), True),
        (Filter(since=1000.0), '{"message": "no time"}', False),
        (Filter(request_id="a"), line(request_id="a"), True),
        (Filter(request_id="a"), line(request_id="ab"), False),
        (Filter(request_id="a"), line(), False),
        (Filter(request_id="a", level="error"), line(request_id="a"), False),
    ],
)
def test_a_line_is_meant_when_it_is_all_that_was_asked_for(chosen: Filter, text: str, wanted: bool) -> None:
    assert chosen.wants(text) is wanted


def test_what_is_no_object_goes_with_the_line_before_it() -> None:
    chosen = Filter(level="error")
    lines = ["lost", line(), "Traceback", line(level="ERROR"), "Traceback", "[1]", line(), "  more"]
    assert [chosen.wants(text) for text in lines] == [False, False, False, True, True, True, False, False]


def test_an_app_that_writes_plain_text_can_be_asked_by_time_where_the_journal_knows_it() -> None:
    assert Filter(since=1000.0).wants("plain")
    assert not Filter(since=1000.0, level="error").wants("plain")


def test_only_times_and_requests_look_back() -> None:
    assert Filter(since=1.0).looks_back
    assert Filter(request_id="a").looks_back
    assert not Filter(level="error").looks_back


@given(st.text())
def test_any_text_is_a_line(text: str) -> None:
    parsed = parse(text)
    assert parsed is None or isinstance(parsed, dict)
    assert isinstance(Filter(since=1.0, level="error", request_id="a").wants(text), bool)


@given(st.dictionaries(st.sampled_from(["time", "level", "request_id"]), st.none() | st.integers() | st.text()))
def test_any_object_is_a_line(found: dict[str, object]) -> None:
    time_of(found)
    for level in LEVELS:
        Filter(since=1.0, level=level).wants(json.dumps(found))
