"""A value that must not be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable

STARS = "***"
SHORTEST = 6  # shorter lines of a secret are words that stand elsewhere too


class Secret:
    """Hold a secret from the moment it is read; whoever prints, logs or serialises it gets stars."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value itself, to the one place that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Put stars in place of secrets, and of each of their lines: a comparison shows those one by one."""
    parts = set()
    for secret in secrets:
        parts |= {secret.reveal(), *(line.strip() for line in secret.reveal().splitlines())}
    known = sorted((part for part in parts if len(part) >= SHORTEST), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, known)), STARS, text) if known else text
