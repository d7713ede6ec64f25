"""Make a recording of traced statements, with values that are nobody's. Pure.

A text keeps its shape and nothing else: letters and digits are counted up for each shape, so that equal texts stay
equal and others stay different, and nothing leads back to what was there, as a hash would. Texts that stand in the
application's own code (`"expand"`, `"en"`) are its own, and stay: constraints ask for them. Moments keep their order.
Numbers keep their size: whole ones are keys, counts and limits; broken ones lose what is after the point.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

TRACE = "CONTRACT_TRACE"
"""The variable that names the file of statements, with the values that they had."""

EPOCH = datetime(2026, 1, 1)  # noqa: DTZ001  as the driver gets it
READS, WRITES = 2, 40
"""How often a statement is kept: one that adds rows always, for others need them and their numbers."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{6})?\Z")
CATALOGS = ("pg_catalog", "sqlite_master", "information_schema", "alembic_version")


def recording(trace: Iterable[str], own: frozenset[str]) -> str:
    """Answer the text of a recording, for lines that tests/migrations/recorder.py has written."""
    made = Synthesis(own)
    statements: dict[str, int] = {}
    often: Counter[str] = Counter()
    runs: list[list[Any]] = []
    for line in trace:
        noted = json.loads(line)
        sql = noted["sql"]
        if catalog(sql):
            continue
        for values in noted["values"]:
            often[sql] += 1
            if often[sql] <= most(sql):
                runs.append([statements.setdefault(sql, len(statements)), values])
    made.learn(moment for _, values in runs for moment in moments(values))
    lines = [json.dumps([number, made.of(values)], ensure_ascii=False) for number, values in runs]
    texts = [json.dumps(sql, ensure_ascii=False) for sql in statements]
    return '{"statements": [\n' + ",\n".join(texts) + '\n],\n"runs": [\n' + ",\n".join(lines) + "\n]}\n"


def most(sql: str) -> float:
    """Answer how often a statement is kept."""
    word = sql.split(maxsplit=1)[0].upper()
    return float("inf") if word == "INSERT" else WRITES if word in ("UPDATE", "DELETE") else READS


def moments(values: Any) -> Iterable[str]:
    """Answer the moments among values."""
    match values:
        case {"$datetime": str(text)} | {"$date": str(text)}:
            yield text
        case str() if MOMENT.match(values):  # what SQLite's driver is told
            yield values
        case dict():
            for each in values.values():
                yield from moments(each)
        case list():
            for each in values:
                yield from moments(each)


class Synthesis:
    """What was made of what, so far."""

    def __init__(self, own: frozenset[str]) -> None:
        self.own = own
        self.texts: dict[str, str] = {}
        self.shapes: defaultdict[str, int] = defaultdict(int)
        self.bytes: dict[str, str] = {}
        self.order: dict[str, int] = {}

    def learn(self, texts: Iterable[str]) -> None:
        """Get to know all moments, for their order."""
        self.order = {text: number for number, text in enumerate(sorted(set(texts)))}

    def of(self, value: Any) -> Any:
        """Answer what stands for a value."""
        match value:
            case {"$datetime": str(text)}:
                zone = datetime.fromisoformat(text).tzinfo
                moment = EPOCH.replace(tzinfo=zone) + timedelta(seconds=self.order[text])
                return {"$datetime": moment.isoformat()}
            case {"$date": str(text)}:
                return {"$date": date(2026, 1, 1).isoformat()}
            case {"$bytes": str(text)}:
                number = self.bytes.setdefault(text, f"{len(self.bytes):08x}")
                return {"$bytes": (number * (len(text) // 8 + 1))[: len(text)]}
            case dict():
                return {name: self.of(each) for name, each in value.items()}
            case list():
                return [self.of(each) for each in value]
            case float():
                return float(int(value))
            case str():
                return self.text(value)
        return value

    def text(self, text: str) -> str:
        """Answer a text of the same shape; JSON stays JSON."""
        if text in self.own:
            return text
        if text in self.order:
            moment = EPOCH + timedelta(seconds=self.order[text])
            return moment.isoformat(text[10], timespec="microseconds" if "." in text else "seconds")
        if text not in self.texts:
            self.texts[text] = self.json(text) if text[:1] in ("{", "[") else self.shaped(text)
        return self.texts[text]

    def json(self, text: str) -> str:
        """Answer JSON of the same build; what only looks like it is a text like others."""
        try:
            found = json.loads(text)
        except ValueError:
            return self.shaped(text)
        return json.dumps(self.of(found), ensure_ascii=False)

    def shaped(self, text: str) -> str:
        """Answer the next text of this shape."""
        shape = "".join(kind(char) for char in text)
        number, self.shapes[shape] = self.shapes[shape], self.shapes[shape] + 1
        made: list[str] = []
        for char in reversed(shape):
            first, size = {"a": ("a", 26), "A": ("A", 26), "0": ("0", 10)}.get(char, (char, 1))
            made.append(chr(ord(first) + number % size))
            number //= size
        return "".join(reversed(made))


def kind(char: str) -> str:
    """Answer what stands for a character: of letters and digits only what they are."""
    if char.isascii():
        return "0" if char.isdigit() else "A" if char.isupper() else "a" if char.islower() else char
    return "É" if char.isupper() else "é" if char.isalpha() else "0" if char.isdigit() else "·"


PARAMETER = re.compile(r"\?|%\(\w+\)s(?:::[A-Z]+(?: WITH(?:OUT)? TIME ZONE)?)?|%s")
LISTED = re.compile(r"\(\?(?:, \?)+\)")
AGAIN = re.compile(r"(\S[^()]{9,}?)(?: OR \1)+(?=\))")


def shape(sql: str) -> str:
    """Answer a statement without what depends on its values: how many a list has, and how often a range is asked."""
    return AGAIN.sub(r"\1", LISTED.sub("(?)", PARAMETER.sub("?", " ".join(sql.split()))))


def unknown(trace: Iterable[str], recorded: Iterable[str]) -> list[str]:
    """Answer the statements of a trace that no recorded one is like."""
    known = {shape(sql) for sql in recorded}
    found = {shape(sql): sql for line in trace if not catalog(sql := str(json.loads(line)["sql"]))}
    return [sql for each, sql in found.items() if each not in known]


def catalog(sql: str) -> bool:
    """Say whether a statement asks of the schema, not of rows."""
    return any(name in sql for name in CATALOGS)


def own_texts(folder: Path) -> frozenset[str]:
    """Read the texts that stand in code."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return frozenset(found)
