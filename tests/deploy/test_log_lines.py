"""Log lines of many hosts as one stream."""

from __future__ import annotations

import json
import time

import pytest

from deploy.errors import SlipwayError
from deploy.log_lines import Said, as_json, in_order, moment, shown

NOW = time.mktime((2026, 11, 23, 14, 30, 0, 0, 0, -1))


def said(host: str, text: str, at: str = "") -> Said:
    """Make a line, with a time when it has one."""
    when = f"2026-11-23T14:{at}+00:00"
    return Said(host, 1, json.dumps({"time": when, "level": "INFO", "message": text}) if at else text)


def test_lines_of_all_hosts_are_in_the_order_of_time() -> None:
    lines = {
        "web1": [said("web1", "a", "00:01.000"), said("web1", "Traceback"), said("web1", "d", "00:09.000")],
        "web2": [said("web2", "b", "00:02.500"), said("web2", "c", "00:03.000")],
    }
    found = [
        (line.host, json.loads(line.text)["message"] if line.text[0] == "{" else line.text) for line in in_order(lines)
    ]
    assert found == [("web1", "a"), ("web1", "Traceback"), ("web2", "b"), ("web2", "c"), ("web1", "d")]


def test_a_line_is_written_for_a_person() -> None:
    text = {
        "time": "2026-11-23T14:00:01.250+00:00", "level": "ERROR", "logger": "app.users.services", "message": "no",
        "source": "services.py:41", "request_id": "a1", "user_id": None, "pid": 7, "release": "1.0", "generation": "3",
        "place": 12, "exception": "Traceback:\n  KeyError",
    }  # fmt: skip
    clock = time.strftime("%H:%M:%S", time.localtime(1795442401.25))
    assert shown(Said("web1", 3, json.dumps(text)), 5).splitlines() == [
        f"web1   {clock}.250 ERROR   app.users.services services.py:41: no  request_id=a1 place=12",
        "       Traceback:",
        "         KeyError",
    ]
    assert shown(Said("web1", 3, "plain"), 4) == "web1  plain"
    assert as_json(Said("web1", 3, "plain")) == {"host": "web1", "generation": 3, "text": "plain"}
    assert as_json(Said("web1", 3, '{"a": 1}')) == {"host": "web1", "generation": 3, "line": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None), ("90s", NOW - 90), ("10m", NOW - 600), ("10 min", NOW - 600), ("2h", NOW - 7200),
        ("1d", NOW - 86400),
        ("14:05", NOW - 1500), ("14:29:30", NOW - 30), ("15:00", NOW - 23.5 * 3600),
        ("2026-11-23T14:05", NOW - 1500), ("2026-11-23 14:05", NOW - 1500), ("1970-01-01T00:01:00Z", 60.0),
    ],
)  # fmt: skip
def test_times_are_typed_as_one_thinks_of_them(text: str, expected: float | None) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "25:00", "10x", "-5m", "2026-13-01"])
def test_what_is_no_time_is_said_with_what_is(text: str) -> None:
    with pytest.raises(SlipwayError, match="is no time") as caught:
        moment(text, NOW)
    assert "10m" in str(caught.value.hint)
