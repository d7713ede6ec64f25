"""A worker: it takes jobs out of the database, one at a time, and leaves when the one in hand is done.

A job is a row. Its `go` says that it may end: 1, or 0 as long as a test wants it to take.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from kiosk import database

leaving: list[int] = []


def main() -> int:
    """Work until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, _: leaving.append(number))
    say_ready()
    while not leaving:
        name = take()
        if name is None:
            time.sleep(0.05)
            continue
        sys.stdout.write(f"takes {name}\n")
        while not finish(name):
            time.sleep(0.05)
    return 0


def say_ready() -> None:
    """Tell whoever started us (sd_notify(3))."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def take() -> str | None:
    """Take a job that nobody has."""
    with database.connected() as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("SELECT name FROM jobs WHERE taken IS NULL ORDER BY rowid").fetchone()
        if row:
            connection.execute("UPDATE jobs SET taken = ? WHERE name = ?", (os.environ["RELEASE_GENERATION"], row[0]))
        return row[0] if row else None


def finish(name: str) -> bool:
    """End a job when it may; count how often that was."""
    with database.connected() as connection:
        return bool(connection.execute("UPDATE jobs SET done = done + 1 WHERE name = ? AND go", (name,)).rowcount)
