"""Read what units said out of the journal."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence

from deploy.agent import generations
from deploy.agent.layout import Layout
from deploy.agent.supervisors import key_of, systemctl

POLL = 0.2  # seconds
CURSOR = "-- cursor: "  # what journalctl --show-cursor says last


def tail(unit: str, lines: int, since: float) -> str:
    """Give the last lines about a unit, systemd's own words included: they tell why it could not even be started."""
    systemctl.run(["journalctl", "--sync"], check=False)  # what a process said just before it died is still on its way
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", f"--since=@{since:.6f}"]
    return systemctl.run([*command, f"--unit={unit}"], check=False).strip()


class Journal:
    """What the units of generations said; see `deploy.agent.logs.Source`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._cursors: dict[int, str] = {}  # how far each was read

    def past(self, number: int, lines: int | None, since: float | None) -> Iterable[str]:
        """Read the last lines of a generation."""
        words = ["--show-cursor", "--no-tail" if lines is None else f"--lines={lines}"]
        words += [f"--since=@{since:.6f}"] if since is not None else []
        for text in _read([*words, *self._units(number)], None):
            if text.startswith(CURSOR):
                self._cursors[number] = text[len(CURSOR) :]
            else:
                yield text

    def follow(self, number: int, over: Callable[[], bool]) -> Iterator[str]:
        """Go on behind what was read."""
        cursor = self._cursors.get(number)
        words = [f"--after-cursor={cursor}"] if cursor else []
        return _read(["--no-tail", *words, *self._units(number), "--follow"], over)

    def _units(self, number: int) -> list[str]:
        from deploy.agent.supervisors import systemd

        keys = [key_of(process, number) for process in generations.processes(self._layout, number)]
        # Never none: that would be everything.
        return [f"_SYSTEMD_UNIT={systemd.unit_of(self._layout, key)}" for key in keys or [str(number)]]


def _read(words: Sequence[str], over: Callable[[], bool] | None) -> Iterator[str]:
    """Run journalctl and give its lines as they come, until its end or until it is over."""
    process = subprocess.Popen(
        ["journalctl", "--no-pager", "--quiet", "--output=cat", *words], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=systemctl.ENVIRONMENT, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
    rest = b""
    with process, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        try:
            while not (over and over()):
                if not selector.select(POLL):
                    continue
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    break
                *whole, rest = (rest + data).split(b"\n")
                yield from (raw.decode("utf-8", "replace") for raw in whole)
        finally:
            process.kill()
