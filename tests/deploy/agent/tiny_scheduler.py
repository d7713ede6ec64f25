"""A scheduler that writes down below HOME when it begins and ends, and whether another one was there meanwhile."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path

LOG = Path("scheduler.log")


def main() -> None:
    """Hold the lock that only one can have, until SIGTERM comes."""
    if os.environ.get("SCHEDULER") == "raise":
        raise RuntimeError("this scheduler can't be started")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with Path("scheduler.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("twice")
            raise
        note("begins")
        address = os.environ["NOTIFY_SOCKET"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)
        signal.sigwait([signal.SIGTERM])
        note("ends")


def note(word: str) -> None:
    """Add a line."""
    with LOG.open("a") as log:
        log.write(f"{os.environ['RELEASE_GENERATION']} {word}\n")


if __name__ == "__main__":
    main()
