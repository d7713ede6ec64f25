"""Ctrl-C, a signal, a terminal that is gone: stop at a safe point, and at once when asked again."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from deploy.errors import Exit
from deploy.execute import Executor
from deploy.plan import Kind
from deploy.terminal import hearing

SHOW_CURSOR = "\x1b[?25h"  # a live display hides it

Leave = Callable[[int], None]


@contextmanager
def stoppable(executor: Executor, leave: Leave = os._exit) -> Iterator[None]:
    """Let the first signal stop the rollout at the next safe point, and the second one this process."""

    asked: list[int] = []

    def first() -> None:
        executor.halt.set()
        executor.reporter.note("stopping at the next safe point; again to stop at once")

    def stop(number: int) -> None:
        asked.append(number)
        if len(asked) > 1:
            code, text = at_once(executor)
            with suppress(OSError):  # straight to the terminal: whoever was interrupted may be in the midst of a line
                os.write(2, f"{SHOW_CURSOR if sys.stderr.isatty() else ''}\n{text}\n".encode())
            leave(code)
        # Beside the one that was interrupted, who may hold the lock of what is said, or of `halt`.
        _thread.start_new_thread(first, ())

    with hearing(stop):
        yield


def at_once(executor: Executor) -> tuple[int, str]:
    """Say what is left behind, and what to type. The lease frees itself: its owner is a process that is gone."""
    name = executor.hosts.environment.name
    working = ", ".join(f"{step.kind} {step.host}" for step in list(executor.at_work)) or "nothing"
    changed = bool(executor.touched & {Kind.DRAIN, Kind.SWITCH, Kind.RESTART, Kind.FENCE})
    state = "hosts differ; one that is drained comes back by itself" if changed else "nothing changed for users"
    text = f"stopped at once, at work: {working}; {state}"
    hint = f"fab status:{name} shows what runs; fab resume:{name} goes on, fab abort:{name} goes back"
    return int(Exit.MIXED if changed else Exit.FAILED_UNCHANGED), f"{text}\n  -> {hint}"
