"""Ask a person at the terminal, and stop waiting when the rollout is told to stop."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Sequence
from typing import IO

WAIT = 0.2  # seconds between two looks whether somebody wants to stop

Ask = Callable[[Sequence[str], Callable[[], bool]], bool]  # what to look at, whether to stop waiting: whether to go on


def terminal(lines: Sequence[str], stopped: Callable[[], bool], source: IO[str] | None = None) -> bool:
    """Show what to look at and ask; anything but a yes is a no, and so is the end of the terminal."""
    source = source or sys.stdin
    sys.stderr.write("".join(f"{line}\n" for line in lines) + "go on? [y/N] ")
    sys.stderr.flush()
    while not stopped():
        if select.select([source], [], [], WAIT)[0]:
            return source.readline().strip().lower() in ("y", "yes")
    sys.stderr.write("\n")
    return False


def always(lines: Sequence[str], stopped: Callable[[], bool]) -> bool:
    """Go on: `--yes` said so beforehand."""
    return True


def whom(*, yes: bool) -> Ask | None:
    """Choose who answers: nobody without a terminal, unless `--yes` has."""
    if yes:
        return always
    return terminal if sys.stdin.isatty() else None
