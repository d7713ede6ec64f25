"""How long machines take: made and booted, rebooted, reset; alone and five side by side.

    make bench-fleet            # or, as root: .venv/bin/python bench/fleet.py --rounds 9

The peers, measured in the same run on the same computer, are what one does without overlays: a file system from
scratch for each machine, or a copy of one that is kept. Quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: packaging.py there would be taken for the distribution

from deploy.fleet import base, machines  # noqa: E402  (this script runs from anywhere)
from deploy.fleet.machines import Fleet, Machine  # noqa: E402

MINE = "made and booted"
FIVE = ("lb1", "web1", "web2", "web3", "db1")


def main() -> int:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description="Time the machines of a fleet.")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch, machines.fleet(print) as fleet:
        rows = rounds(fleet, options.rounds)
        rows |= peers(Path(scratch), fleet.lower)
    report(rows)
    return 0


def rounds(fleet: Fleet, count: int) -> dict[str, list[float]]:
    """Time what a fleet does."""
    rows: dict[str, list[float]] = {MINE: [], "reset": [], "rebooted": [], "five made and booted": []}
    for number in range(count):
        made: list[Machine] = []
        rows[MINE].append(timed(lambda name=f"m{number}", made=made: made.append(fleet.add(name))))  # type: ignore[misc]
        rows["reset"].append(timed(made[0].reset))
        rows["rebooted"].append(timed(made[0].reboot))
        made[0].power_off()
    for _ in range(count):
        with machines.fleet(print) as five:
            rows["five made and booted"].append(timed(lambda five=five: five.add_all(dict.fromkeys(FIVE))))  # type: ignore[misc]
    return rows


def peers(scratch: Path, lower: str) -> dict[str, list[float]]:
    """Time what one would do for each machine without overlays, before it even boots."""
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(base.PACKAGES)}",
        "--format=directory",
    ]
    return {
        "peer: from scratch": [timed(lambda: run(*command, base.SUITE, scratch / "new"))],
        "peer: a copy": [timed(lambda n=n: run("cp", "-a", lower, scratch / f"copy{n}")) for n in range(3)],  # type: ignore[misc]
    }


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")


def timed(act: Callable[[], object]) -> float:
    """Time a call."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def report(rows: dict[str, list[float]]) -> None:
    """Print the medians with their spread, then the ratios."""
    median = {name: statistics.median(seconds) for name, seconds in rows.items()}
    for name, seconds in rows.items():
        print(f"{name:<22} {median[name]:7.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")
    for name in rows:
        if name.startswith("peer"):
            print(f"{name} / {MINE} = {median[name] / median[MINE]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
