import json
import logging
import re
import sys
from typing import Any

import pytest

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


REFUSED = """(psycopg.errors.NotNullViolation) null value in column "x" violates not-null constraint
DETAIL:  Failing row contains (7, ann@example.org, her
secret).
[SQL: INSERT INTO users VALUES (%(id)s)]
[SQL parameters hidden due to hide_parameters=True]"""


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (REFUSED, "constraint\nDETAIL:  (left out)\n[SQL: INSERT INTO users"),
        ("refused\nDETAIL:  Key (email)=(ann@example.org) already exists.", "refused\nDETAIL:  (left out)"),
        (
            "(1062, \"Duplicate entry 'ann@example.org' for key 'email'\")",
            "Duplicate entry '(left out)' for key 'email'",
        ),
        ("no row in this", "ValueError: no row in this"),
    ],
)
@pytest.mark.parametrize("formatter", [JsonFormatter({}), ConsoleFormatter()])
def test_no_row_that_a_database_refused_is_in_a_log(formatter: logging.Formatter, said: str, left: str) -> None:
    try:
        raise ValueError(said)
    except ValueError:
        text = formatter.format(record(exc_info=sys.exc_info()))
    told = json.loads(text)["exception"] if isinstance(formatter, JsonFormatter) else text
    assert left in told
    assert not {"ann@example.org", "secret"} & set(re.split(r"[^a-z@.]+", told))


def test_what_json_cannot_say_is_written_as_text() -> None:
    thing = object()
    assert json.loads(JsonFormatter({}).format(record(thing=thing)))["thing"] == str(thing)
    assert json.loads(JsonFormatter({}).format(record(thing="\ud800")))["thing"] == "\ud800", "no text at all"


def test_the_console_line_has_the_same_facts() -> None:
    text = ConsoleFormatter().format(record(places=2))
    assert text.endswith("INFO    app.x x.py:3: found Łódź request_id=abc places=2")
