"""Ends of sessions: programs that are spoken to through a pipe, and leave when nobody speaks any more."""

from __future__ import annotations

import subprocess
from contextlib import suppress

PATIENCE = 10.0  # seconds that a program may take to leave


def end(process: subprocess.Popen[bytes], *, kill: bool = False, cut: bool = False) -> None:
    """Close what goes to a program and wait until it has left; `kill` does not let it finish first.

    `cut` ends one that only leads to a program elsewhere, which leaves by itself: to hear of that is a round trip.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    if kill:
        process.kill()
    with suppress(BrokenPipeError):  # what was not sent yet finds nobody
        process.stdin.close()
    if cut:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
