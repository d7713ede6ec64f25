"""The terminal that a task runs on, which may go away before the task does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def deafen() -> None:
    """Say everything from now on to nobody: the terminal is gone, and the rollout is not."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
        os.close(null)


def _hung_up(number: int) -> None:
    if number == signal.SIGHUP and sys.stdout.isatty():
        deafen()


@contextmanager
def hearing(tell: Callable[[int], object]) -> Iterator[None]:
    """Tell of Ctrl-C, SIGTERM and SIGHUP, and raise nothing: an exception may come while a lock is taken or freed.

    Whoever is told must take no lock either, for the main thread may hold it; SimpleQueue.put may be called (its
    documentation says so). In other threads, and where a signal is ignored (nohup), all stays as it is.
    """

    def heard(number: int, frame: object) -> None:
        _hung_up(number)
        tell(number)

    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in SIGNALS if main and signal.getsignal(number) is not signal.SIG_IGN]
    before: dict[signal.Signals, Any] = {number: signal.signal(number, heard) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        _hung_up(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not in the main thread: whoever has that one sees to it
            signal.signal(number, leave)
