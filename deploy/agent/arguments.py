"""Check a request's arguments against a table, and report everything that is wrong at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from deploy.agent.errors import BadRequest
from deploy.agent.manifest import HALF, SHA256_PATTERN, VERSION_PATTERN

REQUIRED: Any = object()
MOST = 2**53 - 1  # whole numbers up to here are the same in every JSON (RFC 8259, section 6)
DEEPEST = 50  # objects and lists within each other: what is much deeper can't be written down again
LEVELS = ("debug", "info", "warning", "error", "critical")  # Python's, least first (logging, "Logging Levels")


class Kind(NamedTuple):
    """A type of argument: what is expected, in words, and whether a value is that."""

    expected: str
    fits: Callable[[Any], bool]

    def or_null(self) -> Kind:
        """Allow null as well."""
        return Kind(f"{self.expected}, or null", lambda value: value is None or self.fits(value))


class Argument(NamedTuple):
    """One argument of a verb."""

    name: str
    kind: Kind
    default: Any = REQUIRED


def one_of(*words: str) -> Kind:
    """Allow certain words only."""
    return Kind(" or ".join(f'"{word}"' for word in words), lambda value: value in words)


def integer(least: int = 0) -> Kind:
    """Allow whole numbers from `least` on."""
    return Kind(f"a whole number from {least}", lambda value: type(value) is int and least <= value <= MOST)


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and "\0" not in item for item in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


TEXT = Kind("a string without NUL", lambda value: isinstance(value, str) and "\0" not in value)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
SECONDS = Kind("seconds, from 0 to 86400", lambda value: type(value) in (int, float) and 0 <= value <= 86400)
TIME = Kind("seconds since the epoch", lambda value: type(value) in (int, float) and 0 <= value <= 2**40)
VERSION = Kind("a version", lambda value: isinstance(value, str) and bool(VERSION_PATTERN.match(value)))
SHA256 = Kind("64 hex digits", lambda value: isinstance(value, str) and bool(SHA256_PATTERN.match(value)))
HASHES = Kind("a list of sha256 in hex", lambda value: isinstance(value, list) and all(map(SHA256.fits, value)))
VERSIONS = Kind("a list of versions", lambda value: isinstance(value, list) and all(map(VERSION.fits, value)))
WORDS = Kind("a list of strings, not empty", lambda value: _strings(value) and bool(value))
PROCESSES = Kind(
    'a list of "web" and names of processes',
    lambda value: _strings(value) and len({*value}) == len(value) and {*value} <= {"web", "worker", "scheduler"},
)
TABLE = Kind("an object of strings", _is_table)
ANYTHING = Kind("an object", lambda value: isinstance(value, dict))
ENTRIES = Kind(
    "a list of objects", lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value)
)


def unsound(request: Mapping[str, Any]) -> str:
    """Say what is in a request that is JSON to Python and yet nothing to work with; empty when all is well."""
    level: list[Any] = [request]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not value.isascii() and HALF.search(value):
                return "has half a character (a lone surrogate)"
            elif isinstance(value, float) and not math.isfinite(value):
                return "has a number that is none"
        if not below:
            return ""
        level = below
    return f"has more than {DEEPEST} objects and lists within each other"


def check(verb: str, arguments: Sequence[Argument], request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments with defaults filled in.

    Raises: BadRequest bad-argument.
    """
    known = {argument.name: argument for argument in arguments}
    problems = []
    for name in request:
        if name not in known:
            problems.append(f"unknown argument {name!r}{_suggestion(name, known)}")
    values = {}
    for name, argument in known.items():
        value = request.get(name, argument.default)
        if value is REQUIRED:
            problems.append(f"{name} is missing, expected {argument.kind.expected}")
        elif name in request and not argument.kind.fits(value):
            problems.append(f"{name} must be {argument.kind.expected}, got {_shown(value)}")
        values[name] = value
    if problems:
        raise BadRequest(
            "bad-argument", f"{verb}: {'; '.join(problems)}", hint="the agent and the operator's side may differ in age"
        )
    return values


def _suggestion(name: str, known: Iterable[str]) -> str:
    import difflib  # here: it would cost each start 4 ms

    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _shown(value: Any) -> str:
    # Never the contents of an object: it may be a table of secrets.
    if isinstance(value, (dict, list)):
        return f"a{'n object' if isinstance(value, dict) else ' list'} of {len(value)}"
    return repr(value)[:60]
