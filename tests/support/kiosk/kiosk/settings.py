"""Variables, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
SQLITE = "sqlite:///"


def problems(variables: Mapping[str, str]) -> list[dict[str, str]]:
    """List every variable that is not as it has to be."""
    found = []
    for name, is_right, expected in (
        ("SECRET_KEY", lambda value: len(value) >= 32, "at least 32 characters"),
        ("LOG_LEVEL", lambda value: value in ("", *LEVELS), f"one of {', '.join(LEVELS)}"),
        ("DATABASE_URL", lambda value: value.startswith(SQLITE), f"{SQLITE}PATH"),
    ):
        if not is_right(variables.get(name, "")):
            found.append({"variable": name, "expected": expected, "got": variables.get(name, "nothing")})
    return found


def complete(environ: Mapping[str, str]) -> dict[str, str]:
    """Read what NAME_FILE variables name."""
    files = {name.removesuffix("_FILE"): path for name, path in environ.items() if name.endswith("_FILE")}
    return {**environ, **{name: Path(path).read_text() for name, path in files.items()}}
