"""Looks at all processes again and again: no secret is in arguments, nor in variables of whom it concerns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType


class Watch(threading.Thread):
    """Look meanwhile; `inside` tells whether a process, by its folder in /proc, may not even have one in variables."""

    def __init__(self, marks: Collection[bytes], inside: Callable[[Path], bool]) -> None:
        super().__init__(daemon=True)
        self.marks, self.inside = marks, inside
        self.seen, self.looks, self.over = set[str](), 0, threading.Event()

    def found_in(self, data: bytes) -> bool:
        """Tell whether a secret is in it."""
        return any(mark in data for mark in self.marks)

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(0.2):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                self.look(process)

    def look(self, process: Path) -> None:
        """Look at one, which may be gone by then."""
        try:
            words = (process / "cmdline").read_bytes()
            if self.found_in(words):
                self.seen.add(f"arguments of {words[:60]!r}")
            if self.inside(process) and self.found_in((process / "environ").read_bytes()):
                self.seen.add(f"variables of {words[:60]!r}")
        except OSError:
            return

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.join()
