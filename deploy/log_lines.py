"""Log lines of many hosts as one stream a person can read. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.agent.log_filter import parse, time_of
from deploy.errors import SlipwayError

# Told apart from what else a line says; the rest is given as name=value.
KNOWN = ("time", "level", "logger", "source", "message", "exception", "stack")
QUIET = ("pid", "release", "generation", "environment")  # the same on every line, or shown elsewhere
UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Said:
    """A line, and which host's."""

    host: str
    generation: int
    text: str


def in_order(said: Mapping[str, Iterable[Said]]) -> list[Said]:
    """Put the lines of all hosts in the order of their times; one without a time stays behind the one before it."""
    timed: list[tuple[float, Said]] = []
    for lines in said.values():
        last = 0.0
        for line in lines:
            parsed = parse(line.text)
            last = (parsed and time_of(parsed)) or last
            timed.append((last, line))
    return [line for _, line in sorted(timed, key=lambda pair: pair[0])]


def shown(line: Said, width: int) -> str:
    """Write a line for a person: host, time, level, message, then what else it knows."""
    parsed = parse(line.text)
    if parsed is None:
        return f"{line.host:<{width}}  {line.text}"
    moment = time_of(parsed)
    clock = time.strftime("%H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}" if moment else "-" * 12
    level = str(parsed.get("level", "")).upper()
    where = " ".join(str(parsed[key]) for key in ("logger", "source") if parsed.get(key))
    more = " ".join(
        f"{key}={value}" for key, value in parsed.items() if key not in (*KNOWN, *QUIET) and value is not None
    )
    first = f"{line.host:<{width}}  {clock} {level:<7} {where}: {parsed.get('message', '')}  {more}".rstrip()
    below = "\n".join(str(parsed[key]) for key in ("exception", "stack") if parsed.get(key))
    return "\n".join([first, *(f"{'':<{width}}  {text}" for text in below.splitlines())])


def as_json(line: Said) -> dict[str, Any]:
    """Give a line for a program: the app's own object, or its text."""
    parsed = parse(line.text)
    return {
        "host": line.host,
        "generation": line.generation,
        **({"line": parsed} if parsed is not None else {"text": line.text}),
    }


def moment(text: str, now: float) -> float | None:
    """Read a time: `10m`, `2h`, `1d` ago, `14:05` or `14:05:30` today or yesterday, or an ISO date and time.

    Raises: SlipwayError.
    """
    from datetime import datetime, timedelta

    if not text:
        return None
    ago = re.fullmatch(r"(\d+)\s*(s|m|min|h|d)", text)
    if ago:
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text):
            today = datetime.fromtimestamp(now).astimezone()
            hours, minutes, *seconds = (int(part) for part in text.split(":"))
            found = today.replace(hour=hours, minute=minutes, second=seconds[0] if seconds else 0, microsecond=0)
            return (found if found <= today else found - timedelta(days=1)).timestamp()
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        raise SlipwayError(
            f'"{text}" is no time', hint="10m, 2h or 1d ago, 14:05 of today, or 2026-11-23T14:05"
        ) from None
