"""Every key, table and list element knows its place; what isn't TOML is explained where it begins."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.toml_position import TomlError, load, loads

FILE = Path("f.toml")
ROOT = Path(__file__).parents[2]

TEXT = '''\
# a comment with [brackets] and = signs
title = "one # not a comment"
"quoted key" = 1

[owner]  # the table
name.first = "Ada"
bio = """
[not a table]
name = "no"
"""
path = 'C:\\'
list = [ # first
  "a]", # [
  'b',
  { x = 1, y = [2,
     3] },
]

[[probe]]
path = "/a"

[[probe]]
path = "/b"
[probe.more]
deep = { in = { side = 1 } }
[[probe.step]]
n = 1979-05-27T07:32:00Z
[[probe.step]]
n = 2
'''


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("title",), 2, 1),
        (("quoted key",), 3, 1),
        (("owner",), 5, 1),
        (("owner", "name"), 6, 1),
        (("owner", "name", "first"), 6, 1),
        (("owner", "bio"), 7, 1),
        (("owner", "path"), 11, 1),
        (("owner", "list"), 12, 1),
        (("owner", "list", 0), 13, 3),
        (("owner", "list", 2, "x"), 15, 5),
        (("owner", "list", 2, "y", 1), 16, 6),
        (("probe", 0), 19, 1),
        (("probe", 1, "path"), 23, 1),
        (("probe", 1, "more", "deep", "in", "side"), 25, 17),
        (("probe", 1, "step", 1, "n"), 29, 1),
        (("probe", 1, "missing"), 22, 1),
        (("owner", "missing", "deeper"), 5, 1),
        (("nothing",), 1, 1),
    ],
)
def test_knows_places(path: tuple[str | int, ...], line: int, column: int) -> None:
    document = loads(TEXT, FILE)
    assert document.place(*path) == (line, column)
    assert document.where(*path) == f"f.toml:{line}:{column}"


def paths(value: Any, start: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the path of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inside for path in [(*start, key), *paths(item, (*start, key))]]


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), (ROOT / "pyproject.toml").read_text()])
def test_finds_everything_that_tomllib_finds(text: str) -> None:
    document = loads(text, FILE)
    assert set(paths(tomllib.loads(text))) == set(document.places)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32), min_size=1), st.integers()
    )
)
def test_finds_any_quoted_key(data: dict[str, int]) -> None:
    data = {key.replace("\x7f", "?"): value for key, value in data.items()}
    text = "".join(f'"{key}" = {value}\n' for key, value in data.items())
    assert list(loads(text, FILE).places.items()) == [((key,), (line, 1)) for line, key in enumerate(data, start=1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "f.toml:1:5: expected a value"),
        (
            "\na = hello",
            'f.toml:2:5: expected a value: "text" in quotes, a number',
        ),
        ("a = [1,\n", "f.toml:1:8: expected a value"),
        ("a = [1\nb = 2", "f.toml:2:1: expected ']' to close the list; got 'b = 2'"),
        ("[x\n", "f.toml:1:3: expected ']' to close the name of the [table]; got '[x'"),
        ("a = 1\na = 2", "f.toml:2:1: expected each key once, but this one is there already; got 'a = 2'"),
        ('a = "x\nb = 1', "f.toml:1:7: expected a closing quote before the end of the line; got 'a = \"x'"),
        ("a b = 1", "f.toml:1:3: expected '=' after the key; got 'b = 1'"),
        ("[t]\n[t]", "f.toml:2:1: expected each [table] once, but this one is there already; got '[t]'"),
        ('a = "x" y', "f.toml:1:9: expected the end of the line (is a text without its quotes?); got 'y'"),
        ("= 3", "f.toml:1:1: expected a [table] or a key = value; got '= 3'"),
        ('a = "\\q"', "f.toml:1:8: expected \\\\ for a backslash"),
        ("\n\na = {b = 1", "f.toml:3:11: expected '}' to close the table, on the same line; got the end of the file"),
        ("", None),
    ],
)
def test_explains_what_is_not_toml(text: str, message: str | None) -> None:
    if message is None:
        assert loads(text, FILE).data == {}
        return
    with pytest.raises(TomlError) as error:
        loads(text, FILE)
    assert str(error.value).startswith(message)


def test_explains_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TomlError, match=r"none\.toml: expected a file, but there is none"):
        load(tmp_path / "none.toml", shown_as=Path("none.toml"))
    with pytest.raises(TomlError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"a = 1\nb = '\xe9'\n")
    with pytest.raises(TomlError, match=r"latin\.toml:2:6: expected UTF-8 text, got the byte 0xe9"):
        load(tmp_path / "latin.toml")


def test_answers_values_by_path() -> None:
    document = loads(TEXT, FILE)
    assert document.get("owner", "list", 1) == "b"
    assert document.get("owner", "list", 9) is None
    assert document.get("title", "deeper") is None
