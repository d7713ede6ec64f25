"""TOML files whose values know their place, so that a mistake can be reported where it was made."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import SlipwayError
from deploy.toml_scan import KeyPath, Place, scan

# What tomllib says, and what a person needs to hear. The first match wins.
_EXPECTED = (
    ("Invalid value", 'expected a value: "text" in quotes, a number, true, false, [a list] or {a = table}'),
    ("Invalid initial character for a key part", "expected a key: letters, digits, - and _, or text in quotes"),
    ("Expected '=' after a key", "expected '=' after the key"),
    ("Expected newline or end of document", "expected the end of the line (is a text without its quotes?)"),
    ("Cannot overwrite a value", "expected each key once, but this one is there already"),
    ("Cannot declare", "expected each [table] once, but this one is there already"),
    ("Unclosed array", "expected ']' to close the list"),
    ("Unclosed inline table", "expected '}' to close the table, on the same line"),
    ("Expected ']' at the end of a table declaration", "expected ']' to close the name of the [table]"),
    ("Invalid statement", "expected a [table] or a key = value"),
    ("Unterminated string", "expected a closing quote"),
    ("Illegal character", "expected a closing quote before the end of the line"),
    ("Unescaped '\\'", "expected \\\\ for a backslash inside \"text\", or 'text' in single quotes"),
)
_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class TomlError(SlipwayError):
    """A file that is not TOML, or not there."""


@dataclass(frozen=True)
class Document:
    """A TOML file: its data, and line and column of each key."""

    path: Path
    text: str
    data: dict[str, Any]
    places: dict[KeyPath, Place]

    def place(self, *path: str | int) -> Place:
        """Answer line and column of a key path; of its nearest enclosing table for a key that isn't there."""
        for end in range(len(path), 0, -1):
            if (place := self.places.get(path[:end])) is not None:
                return place
        return 1, 1

    def where(self, *path: str | int) -> str:
        """Answer `file:line:column` of a key path."""
        line, column = self.place(*path)
        return f"{self.path}:{line}:{column}"

    def get(self, *path: str | int) -> Any:
        """Answer the value at a key path, or None."""
        value: Any = self.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def load(path: Path, shown_as: Path | None = None) -> Document:
    """Read a TOML file; `shown_as` is its name in messages."""
    shown = shown_as or path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TomlError(f"{shown}: expected a file, but there is none") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise TomlError(
            f"{shown}:{line}:{column}: expected UTF-8 text, got the byte 0x{error.object[error.start]:02x}"
        ) from None
    except OSError as error:
        raise TomlError(f"{shown}: cannot be read: {error.strerror}") from None
    return loads(text, shown)


def loads(text: str, path: Path) -> Document:
    """Read TOML text that came from `path`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(_explain(str(error), text, path)) from None
    return Document(path, text, data, scan(text))


def _explain(message: str, text: str, path: Path) -> str:
    """Turn tomllib's complaint into `file:line:column: what was expected, what came`."""
    position = _POSITION.search(message)
    reason = message[: position.start()] if position else message
    at_end = position is None or position["line"] is None
    rows = text.splitlines() or [""]
    number = len(rows) if at_end or position is None else int(position["line"])
    column = 0 if at_end or position is None else int(position["column"]) - 1
    row = rows[number - 1] if number <= len(rows) else ""
    if not at_end and column == 0 and not row.strip() and number > 1 and "character" in reason:
        number, row = number - 1, rows[number - 2]  # tomllib points behind the newline
        column = len(row)
    expected = next((said for start, said in _EXPECTED if reason.startswith(start)), reason)
    twice = reason.startswith("Cannot")
    came = row[0 if twice else column :].strip() or row.strip()
    got = "the end of the file" if at_end and not twice else repr(came)
    return f"{path}:{number}:{1 if twice else len(row) + 1 if at_end else column + 1}: {expected}; got {got}"
