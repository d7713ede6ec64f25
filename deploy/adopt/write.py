"""Write slipway.toml from what was found: each line with its reason, guesses marked, what is missing at the end."""

from __future__ import annotations

import json
from typing import Any

from deploy.adopt.inspect import Findings, Line

HEAD = """\
# What Slipway knows of {name}: docs/reference/slipway-toml.md. Nothing of the application itself was changed.
# `guessed` marks what you should look at; then the comments can go.
"""


def text(findings: Findings, source: str) -> str:
    """Answer the text of slipway.toml."""
    lines = [line for line in findings.lines if line.key == "name"]
    lines += [Line("source", source, "its folder")]
    lines += [line for line in findings.lines if line.key != "name"]
    if findings.value("app") is None:
        lines.append(Line("app", "", "write it"))
    rows = [f"{line.key} = {value(line.value)}" for line in lines]
    width = min(max(len(row) for row in rows), 60)
    said = [f"{row:<{width}} # {_reason(line)}" for row, line in zip(rows, lines, strict=True)]
    missing = "".join(f"# missing: {each}\n" for each in findings.missing)
    missing += "".join(f"# optional: {each}\n" for each in findings.optional)
    return HEAD.format(name=findings.value("name")) + "\n".join(said) + "\n" + missing


def _reason(line: Line) -> str:
    return f"guessed: {line.why}" if line.guessed else line.why


def value(given: Any) -> str:
    """Write a value as TOML has it, on one line."""
    match given:
        case bool():
            return "true" if given else "false"
        case dict():
            return "{ " + ", ".join(f"{key(name)} = {value(each)}" for name, each in given.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(value, given)) + "]"
        case _:
            return json.dumps(given, ensure_ascii=False)


def key(name: str) -> str:
    """Write a key, in quotes where it has to be."""
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
