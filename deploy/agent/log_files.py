"""Logs as files, one a generation: where no systemd keeps a journal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from deploy.agent.layout import Layout

POLL = 0.2  # seconds


class Files:
    """The files of an environment without systemd; see `deploy.agent.logs.Source`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ends: dict[int, int] = {}  # how far each was read

    def past(self, number: int, lines: int | None, since: float | None) -> Iterable[str]:
        """Read the last lines; a file knows no times."""
        try:
            file = self._layout.log_file(str(number)).open("rb")
        except FileNotFoundError:
            return
        with file:
            end = self._ends[number] = os.fstat(file.fileno()).st_size
            if lines is not None:
                yield from last_lines(file.fileno(), lines, end)
            while lines is None and file.tell() < end:
                yield file.readline().decode("utf-8", "replace").rstrip("\n")

    def follow(self, number: int, over: Callable[[], bool]) -> Iterator[str]:
        """Go on behind what was read."""
        path = self._layout.log_file(str(number))
        while not path.exists():
            if over():
                return
            time.sleep(POLL)
        rest = b""
        with path.open("rb") as file:
            file.seek(self._ends.get(number, 0))
            while not over():
                data = file.read(1 << 16)
                if not data:
                    time.sleep(POLL)
                    continue
                *whole, rest = (rest + data).split(b"\n")
                yield from (raw.decode("utf-8", "replace") for raw in whole)


def last_lines(descriptor: int, count: int, end: int) -> list[str]:
    """Read the last lines of a file that was `end` bytes long when we looked; it may grow meanwhile."""
    position = end
    data = b""
    while position and data.count(b"\n") <= count:
        step = min(1 << 16, position)
        position -= step
        data = os.pread(descriptor, step, position) + data
    return data.decode("utf-8", "replace").splitlines()[-count:] if count else []
