import json
import logging
import sys
from typing import Any

from app.logs.formatters import ConsoleFormatter, JsonFormatter


def record(**fields: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": "app.x",
            "levelname": "INFO",
            "filename": "x.py",
            "lineno": 3,
            "msg": "found %s",
            "args": ("Łódź",),
            "request_id": "abc",
            "user_id": 7,
            "created": 0.5,
            **fields,
        }
    )


def test_a_line_is_one_json_object_with_everything() -> None:
    text = JsonFormatter({"release": "1.4", "generation": "17", "environment": ""}).format(record(places=2))
    assert "\n" not in text
    line = json.loads(text)
    del line["pid"]
    assert line == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "app.x",
        "source": "x.py:3",
        "message": "found Łódź",
        "request_id": "abc",
        "user_id": 7,
        "release": "1.4",
        "generation": "17",
        "places": 2,
    }


def test_an_exception_stays_on_its_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        text = JsonFormatter({}).format(record(exc_info=sys.exc_info()))
    assert "\n" not in text
    assert "ValueError: first\nsecond" in json.loads(text)["exception"]


def test_what_json_cannot_say_is_written_as_text() -> None:
    thing = object()
    assert json.loads(JsonFormatter({}).format(record(thing=thing)))["thing"] == str(thing)
    assert json.loads(JsonFormatter({}).format(record(thing="\ud800")))["thing"] == "\ud800", "no text at all"


def test_the_console_line_has_the_same_facts() -> None:
    text = ConsoleFormatter().format(record(places=2))
    assert text.endswith("INFO    app.x x.py:3: found Łódź request_id=abc places=2")
