"""A worker whose queue is a directory below HOME: whoever renames a job has it, so nobody else does it as well.

A job is a file `queue/new/NAME` that says how many seconds it takes; that may change meanwhile. What is done is
a line in `queue/done`: `NAME GENERATION`. A job that was taken and never done stays in `queue/taken`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

QUEUE = Path("queue")
BEHAVIOUR = os.environ.get("WORKER", "good")
leaving: list[int] = []


def main() -> None:
    """Take one job after the other until SIGTERM comes; then finish the one in hand, and leave."""
    if BEHAVIOUR == "raise":
        raise RuntimeError("this worker can't be started")
    signal.signal(signal.SIGTERM, lambda number, _: leaving.append(number))
    for folder in ("new", "taken"):
        (QUEUE / folder).mkdir(parents=True, exist_ok=True)
    if BEHAVIOUR != "mute":
        say_ready()
    while not leaving:
        for job in sorted((QUEUE / "new").iterdir()):
            if not leaving:
                work(job)
        time.sleep(0.02)
    sys.stdout.write("left in peace\n")


def say_ready() -> None:
    """Tell whoever started us (sd_notify(3))."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def work(job: Path) -> None:
    """Do a job, unless another worker has it."""
    taken = QUEUE / "taken" / job.name
    try:
        job.rename(taken)
    except FileNotFoundError:
        return
    generation = os.environ["RELEASE_GENERATION"]
    sys.stdout.write(f"generation {generation} takes {job.name}\n")
    began = time.monotonic()
    while time.monotonic() < began + float(taken.read_text() or 600):
        time.sleep(0.01)
    with (QUEUE / "done").open("a") as done:
        done.write(f"{job.name} {generation}\n")
    taken.unlink()


if __name__ == "__main__":
    main()
