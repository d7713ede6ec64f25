"""Sessions: programs that are spoken to through a pipe, and leave when nobody speaks any more."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

PATIENCE = 10.0  # seconds that a program may take to leave


class Session(NamedTuple):
    """A program that runs, and what it complains of."""

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]


def begin(command: Sequence[str]) -> Session:
    """Start a program, and don't wait for its first word.

    Ctrl-C at the operator's terminal must not stop an agent in the middle of a switch: the session is one of its own.
    """
    stderr = _nameless()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        # ssh may pass it on: what sudo says over there is understood in English (deploy/ssh_failures.py).
        env={**without_secrets(), "LC_ALL": "C.UTF-8"},
    )
    return Session(process, stderr)


def _nameless() -> IO[bytes]:
    """Open a file that has no name; where the system has one in memory, nothing needs to be loaded for it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def without_secrets() -> dict[str, str]:
    """Give our variables without those that hold secrets of environments: what we start may run long after us."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}


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
