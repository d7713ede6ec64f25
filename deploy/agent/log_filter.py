"""Choose log lines: by time, by level, by request. Lines are JSON objects, one each, as the app writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.agent.arguments import LEVELS


@dataclass
class Filter:
    """What a line must be. One that is no JSON object (a traceback of something else) goes with the line before it.

    The first ones, with none before them, pass for any time: the journal leaves out older ones by itself.
    """

    since: float | None = None  # seconds since the epoch
    level: str | None = None  # and anything above it
    request_id: str | None = None
    _last: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin with what has no line before it."""
        self._last = self.level is None and self.request_id is None

    @property
    def looks_back(self) -> bool:
        """Whether lines of generations before the current one may be meant."""
        return self.since is not None or self.request_id is not None

    @property
    def is_open(self) -> bool:
        """Whether every line will do."""
        return not self.looks_back and self.level is None

    def wants(self, text: str) -> bool:
        """Tell whether a line is meant."""
        if self.is_open:
            return True
        line = parse(text)
        if line is not None:
            self._last = self._fits(line)
        return self._last

    def _fits(self, line: dict[str, Any]) -> bool:
        if self.request_id is not None and line.get("request_id") != self.request_id:
            return False
        if self.level is not None and rank(line) < LEVELS.index(self.level):
            return False
        return self.since is None or (time_of(line) or 0.0) >= self.since


def parse(text: str) -> dict[str, Any] | None:
    """Read a line; None when it is no JSON object."""
    if not text.startswith("{"):
        return None
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def rank(line: dict[str, Any]) -> int:
    """Place a line's level among LEVELS; one without counts as info."""
    level = str(line.get("level", "info")).lower()
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")


def time_of(line: dict[str, Any]) -> float | None:
    """Tell when a line was written, in seconds since the epoch; None when it does not say."""
    try:
        return datetime.fromisoformat(str(line["time"]).replace("Z", "+00:00")).timestamp()
    except (KeyError, ValueError, OverflowError, OSError):
        return None
