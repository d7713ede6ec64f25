"""Statements that this release runs, as its contract suite recorded them: one file for each kind of database.

They are made by `make record` and have nobody's values: texts are made up, in the shape of what was there
(tests/migrations/synthetic.py).
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent

Values = Mapping[str, Any] | Sequence[Any]
"""Parameters by name or by position, as the driver takes them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement and what it was run with."""

    sql: str
    values: Values


def read(kind: str, folder: Path = HERE) -> list[Recorded]:
    """Return what was recorded on a kind of database, in its order; nothing if there is no recording."""
    path = folder / f"{kind}.json"
    if not path.exists():
        return []
    text = json.loads(path.read_text(encoding="utf-8"))
    return list(_runs(text["statements"], text["runs"]))


def _runs(statements: Sequence[str], runs: Sequence[Sequence[Any]]) -> Iterator[Recorded]:
    for number, values in runs:
        yield Recorded(statements[number], decoded(values))


def encoded(value: Any) -> Any:
    """Return a driver's value as JSON can have it. Raises TypeError for one that can't be told."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return {"$datetime": value.isoformat()}
        case date():
            return {"$date": value.isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case bytes():
            return {"$bytes": value.hex()}
        case Mapping():
            return {name: encoded(each) for name, each in value.items()}
        case list() | tuple():
            return [encoded(each) for each in value]
    raise TypeError(f"a parameter of a statement is a {type(value).__name__}: expected one that can be recorded")


def decoded(value: Any) -> Any:
    """Return what `encoded` was given."""
    match value:
        case {"$datetime": str(text)}:
            return datetime.fromisoformat(text)
        case {"$date": str(text)}:
            return date.fromisoformat(text)
        case {"$decimal": str(text)}:
            return Decimal(text)
        case {"$bytes": str(text)}:
            return bytes.fromhex(text)
        case dict():
            return {name: decoded(each) for name, each in value.items()}
        case list():
            return [decoded(each) for each in value]
    return value
