"""Numbers as a person reads them."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Write a number of things for a person: `1 file`, `1,886 files`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def human(size: int) -> str:
    """Write a number of bytes for a person: 1,234 -> `1.2 kB`."""
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        amount = size / 1000
        size //= 1000
        if amount < 1000 or unit == "GB":
            return f"{amount:.1f} {unit}"
    raise AssertionError
