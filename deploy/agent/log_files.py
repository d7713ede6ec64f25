"""Logs as files, one for each process of a generation: where no systemd keeps a journal."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from deploy.agent import generations
from deploy.agent.layout import Layout
from deploy.agent.supervisors import key_of

POLL = 0.2  # seconds


class Files:
    """The files of an environment without systemd, one log after the other; see `deploy.agent.logs.Source`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ends: dict[str, int] = {}  # how far each was read

    def past(self, number: int, lines: int | None, since: float | None) -> Iterable[str]:
        """Read the last lines; a file knows no times."""
        for key in _keys(self._layout, number):
            yield from self._past(key, lines)

    def _past(self, key: str, lines: int | None) -> Iterator[str]:
        try:
            file = self._layout.log_file(key).open("rb")
        except FileNotFoundError:
            return
        with file:
            end = self._ends[key] = os.fstat(file.fileno()).st_size
            if lines is not None:
                yield from last_lines(file.fileno(), lines, end)
            while lines is None and file.tell() < end:
                yield file.readline().decode("utf-8", "replace").rstrip("\n")

    def follow(self, number: int, over: Callable[[], bool]) -> Iterator[str]:
        """Go on behind what was read."""
        tails: dict[str, Tail] = {}
        with contextlib.ExitStack() as stack:
            while not over():
                for key in _keys(self._layout, number):
                    if key not in tails and self._layout.log_file(key).exists():
                        file = stack.enter_context(self._layout.log_file(key).open("rb"))
                        tails[key] = Tail(file, self._ends.get(key, 0))
                new = [text for tail in tails.values() for text in tail.new()]
                yield from new
                if not new:
                    time.sleep(POLL)


class Tail:
    """A log that is followed."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._rest = file, b""
        file.seek(start)

    def new(self) -> list[str]:
        """Give the lines that were written since."""
        *whole, self._rest = (self._rest + self._file.read(1 << 16)).split(b"\n")
        return [raw.decode("utf-8", "replace") for raw in whole]


def _keys(layout: Layout, number: int) -> list[str]:
    return [key_of(process, number) for process in generations.processes(layout, number)]


def last_lines(descriptor: int, count: int, end: int) -> list[str]:
    """Read the last lines of a file that was `end` bytes long when we looked; it may grow meanwhile."""
    position = end
    data = b""
    while position and data.count(b"\n") <= count:
        step = min(1 << 16, position)
        position -= step
        data = os.pread(descriptor, step, position) + data
    return data.decode("utf-8", "replace").splitlines()[-count:] if count else []
