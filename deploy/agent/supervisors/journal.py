"""Read what units said out of the journal."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable

from deploy.agent.supervisors import systemctl

POLL = 0.2  # seconds


def tail(unit: str, lines: int, since: float) -> str:
    """Give the last lines about a unit, systemd's own words included: they tell why it could not even be started."""
    systemctl.run(["journalctl", "--sync"], check=False)  # what a process said just before it died is still on its way
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", f"--since=@{since:.6f}"]
    return systemctl.run([*command, f"--unit={unit}"], check=False).strip()


def follow(unit: str, lines: int, line: Callable[[str], None], over: Callable[[], bool] | None) -> int:
    """Pass on the last lines that a unit's processes said and, until `over` (None: at once), those to come."""
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", f"_SYSTEMD_UNIT={unit}"]
    count, rest = 0, b""
    process = subprocess.Popen(
        [*command, *(["--follow"] if over else [])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=systemctl.ENVIRONMENT, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
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
                for raw in whole:
                    line(raw.decode("utf-8", "replace"))
                count += len(whole)
        finally:
            process.kill()
    return count
