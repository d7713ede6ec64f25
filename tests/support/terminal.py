"""A program on a terminal of its own, as a person at a keyboard has it."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 60.0  # seconds


class Terminal:
    """What was said on a terminal so far, and a keyboard."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid, self.said = pid, ""
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def until(self, text: str) -> str:
        """Wait until something is said; give all that was said since the last time."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, f"{text!r} was not said, only {self.said!r}"
            if select.select([self._descriptor], [], [], 0.2)[0]:
                data = self._read()
                assert data, f"{text!r} was not said before the end, only {self.said!r}"
                self.said += data
        found, self.said = self.said, ""
        return found

    def _read(self) -> str:
        with suppress(OSError):  # EIO: nobody holds the other side any more (pty(7))
            return os.read(self._descriptor, 4096).decode(errors="replace")
        return ""

    def end(self) -> int:
        """Wait for the program's end; give its exit status."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def terminal(arguments: Sequence[str | Path], cwd: Path) -> Iterator[Terminal]:
    """Start a program on a terminal, and hang up in the end."""
    words = [str(word) for word in arguments]
    pid, descriptor = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever who began the tests ignores
        os.chdir(cwd)
        os.execvp(words[0], words)  # noqa: S606
    try:
        yield Terminal(pid, descriptor)
    finally:
        os.close(descriptor)
