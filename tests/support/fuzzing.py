"""Odd values for tests of what comes from outside: JSON that is nearly right, text that is nearly right."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

HUGE = 10**400
WORDS = [
    "",
    ".",
    "..",
    "/",
    "../../outside/bait",
    "/etc/passwd",
    "a/../../b",
    "1.0",
    "1.0\n",
    "x" * 300,
    "\0",
    "a\0b",
    "é",
    "\u202e",
    "-rf",
    "--help",
    "$(id)",
    "`id`",
    "${HOME}",
    "%i",
    "'; DROP TABLE users; --",
    "{release}",
    "{0}",
    "\r\n",
    "NaN",
    "1e400",
    "²",
    "00",
    "-1",
    "0x10",
    "true",
    "None",
    "a=b host=/tmp",
    "localhost",
    "http://localhost/",
    "0" * 64,
    "g" * 64,
    "\x1b[2J",
]
NUMBERS = [0, -1, 1, 2, 3, 2**31, 2**63, -(2**63), 0.5, -0.0, 1e308, True, False]
BROKEN = ["\ud800", float("inf"), float("nan"), HUGE]  # what JSON allows, or Python's reader of it

words = st.sampled_from(WORDS) | st.text(max_size=20)
scalars = st.none() | st.sampled_from(NUMBERS) | words | st.integers()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


def nested(depth: int) -> Any:
    """Make a list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


odd = st.integers(0, 19).flatmap(
    lambda turn: st.sampled_from(BROKEN) | st.builds(nested, st.sampled_from([60, 300])) if turn == 19 else json_values
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List every place in a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        found += places(each, (*path, key))
    return found


@st.composite
def mutations(draw: st.DrawFn, value: Any, most: int = 3) -> Any:
    """Change, add or take away a few things anywhere in a JSON value."""
    changed = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(places(changed)))
        new = draw(odd)
        if not path:
            changed = new if draw(st.integers(0, 9)) == 0 else changed
            continue
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        act = draw(st.sampled_from(["change", "change", "remove", "add"]))
        if act == "remove":
            del holder[path[-1]]
        elif act == "add" and isinstance(holder, dict):
            holder[draw(words)] = new
        else:
            holder[path[-1]] = new
    return changed


@st.composite
def mutated_lines(draw: st.DrawFn, text: str, values: list[str], most: int = 3) -> str:
    """Change, repeat, swap or take away a few lines of a text; what follows a `=` may become one of the values."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, most))):
        if not lines:
            break
        at = draw(st.integers(0, len(lines) - 1))
        act = draw(st.sampled_from(["value", "value", "value", "repeat", "remove", "cut", "insert"]))
        if act == "value" and "=" in lines[at]:
            lines[at] = f"{lines[at].partition('=')[0]}= {draw(st.sampled_from(values))}"
        elif act == "repeat":
            lines.insert(at, lines[at])
        elif act == "remove":
            del lines[at]
        elif act == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        else:
            lines.insert(at, draw(words).encode("utf-8", "replace").decode())
    return "\n".join(lines) + "\n"
