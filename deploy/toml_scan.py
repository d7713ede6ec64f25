"""Find the place of every key in a TOML text that tomllib has accepted."""

import re

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, both from 1

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")


def scan(text: str) -> dict[KeyPath, Place]:
    """Answer the place of every table, key and list element; the text has to be valid TOML."""
    return _Scanner(text).document()


class _Scanner:
    """A position in the text, and the places found so far."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.places: dict[KeyPath, Place] = {}
        self.array_length: dict[KeyPath, int] = {}  # of [[tables]] seen so far
        self.line = 1
        self.counted = 0  # the offset up to which newlines have been counted into `line`

    def document(self) -> dict[KeyPath, Place]:
        """Read statement after statement."""
        table: KeyPath = ()
        while self._skip(_BLANK) and self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.places

    def _header(self) -> KeyPath:
        is_array = self.text.startswith("[[", self.at)
        place = self._place()
        self.at += 2 if is_array else 1
        path = self._resolve(self._key(), is_array)
        self._skip(_SPACE)
        self.at += 2 if is_array else 1
        self._found(path, place)
        return path

    def _resolve(self, key: list[str], is_array: bool) -> KeyPath:
        """Put the index of the newest element after each name of an array of tables."""
        path: KeyPath = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if is_array and position == len(key) - 1:
                self.array_length[path] = self.array_length.get(path, 0) + 1
            if path in self.array_length:
                path = (*path, self.array_length[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        place = self._place()
        path = (*table, *self._key())
        self._found(path, place)
        self._skip(_SPACE)
        self.at += 1  # the '='
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self.text[self.at] == "[":
            self._items(path, "]")
        elif self.text[self.at] == "{":
            self._items(path, "}")
        elif not self._take(_STRING):
            self._take(_SCALAR)

    def _items(self, path: KeyPath, end: str) -> None:
        """Read the elements of a list (`]`) or of an inline table (`}`)."""
        self.at += 1
        index = 0
        while self._skip(_BLANK) and self.text[self.at] != end:
            if self.text[self.at] == ",":
                self.at += 1
            elif end == "}":
                self._pair(path)
            else:
                self._found((*path, index), self._place())
                self._value((*path, index))
                index += 1
        self.at += 1

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(self._take(_BARE_KEY) or _unquote(self._take(_STRING)))
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _found(self, path: KeyPath, place: Place) -> None:
        for end in range(1, len(path) + 1):  # [a.b] also is the first sight of a
            self.places.setdefault(path[:end], place)

    def _place(self) -> Place:
        """Answer line and column of the current position."""
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line, self.at - self.text.rfind("\n", 0, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        self._take(pattern)
        return True

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]


def _unquote(key: str) -> str:
    """Answer the text of a quoted key."""
    inner = key[1:-1]
    if key.startswith("'"):
        return inner
    inner = _UNICODE.sub(lambda match: chr(int(match[1] or match[2], 16)), inner)
    return re.sub(r'\\(["\\])', r"\1", inner)
