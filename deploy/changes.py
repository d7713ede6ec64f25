"""What changes between the variables that run and those that are wanted, and what of it may be shown. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

MASK = "***"
PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]+@")  # of a URL; nobody should have written one into a variable
TELLING = re.compile(r"PASSWORD|SECRET|TOKEN|PRIVATE|CREDENTIAL|API_?KEY")  # names whose values are not for a screen
LONGEST = 60  # characters that are shown of a value


@dataclass(frozen=True)
class Change:
    """A variable that changes. None: it is not there; a secret's values are masked from the beginning."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name} is new: {self.after}"
        if self.after is None:
            return f"{self.name} goes (was {self.before})"
        if self.before == self.after:
            return f"{self.name} changes ({self.after})"
        return f"{self.name}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Marked:
    """What a generation runs with: variables, and secrets as marks under a salt."""

    plain: Mapping[str, str]
    marks: Mapping[str, str]


def mark(salt: str, value: str) -> str:
    """Mark a secret as the agent does (docs/reference/agent.md, `variables`)."""
    return hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()


def changes(before: Marked, after: Marked) -> tuple[Change, ...]:
    """Compare by name; what was a variable and becomes a secret changes, whatever its value."""
    old, new = _by_name(before), _by_name(after)
    return tuple(
        Change(name, _shown(name, old.get(name)), _shown(name, new.get(name)))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _by_name(found: Marked) -> dict[str, tuple[str, str]]:
    plain = {name: ("plain", value) for name, value in found.plain.items()}
    return {**plain, **{name: ("secret", value) for name, value in found.marks.items()}}


def _shown(name: str, found: tuple[str, str] | None) -> str | None:
    if found is None:
        return None
    kind, value = found
    if kind == "secret" or TELLING.search(name):
        return MASK
    value = PASSWORD.sub(rf"\1:{MASK}@", value).encode("unicode_escape").decode()
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 3]}..."
