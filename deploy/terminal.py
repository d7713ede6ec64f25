"""The terminal that a task runs on, which may go away before the task does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def deafen() -> None:
    """Say everything from now on to nobody: the terminal is gone, and the rollout is not."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
        os.close(null)


@contextmanager
def while_somebody_reads() -> Iterator[None]:
    """Say something; when nobody can hear it, go on without: a rollout is no worse for a terminal that was closed."""
    try:
        yield
    except OSError:
        deafen()


def ask_to_leave() -> None:
    """Outside of a rollout, let SIGTERM and SIGHUP end a task as Ctrl-C does: whatever is held is given back."""

    def leave(number: int, frame: object) -> None:
        if number == signal.SIGHUP and sys.stdout.isatty():
            deafen()
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not in the main thread: whoever has that one sees to it
            signal.signal(number, leave)
