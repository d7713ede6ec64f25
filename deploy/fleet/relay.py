"""Carry frames between two network links, late, slowly or not at all: a poor cable, run as a program of its own.

    python relay.py LINK LINK DELAY RATE LOSS      seconds, bytes a second (0: as fast as it goes), share from 0 to 1

Prints `ready` once it carries, and ends when a link is gone. For kernels without netem; standard library only.
"""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23  # <linux/if_packet.h>
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
LARGEST = 70_000  # bytes: the kernel hands over up to 64 KiB at once, and cuts it into packets further on
BUFFER = 8 * 2**20
BACKLOG = 1.0  # seconds that a slow link keeps frames waiting; what comes then is lost, as in a router


@dataclass
class Direction:
    """One way through the cable: frames wait here until they are due."""

    source: socket.socket
    target: socket.socket
    delay: float
    rate: float
    loss: float
    free: float = 0.0  # when the last frame will have been put on the line
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, now: float) -> None:
        """Take in all frames that have come."""
        while True:
            try:
                frame = self.source.recv(LARGEST)
            except BlockingIOError:
                return
            start = max(now, self.free)
            if start - now > BACKLOG or random.random() < self.loss:  # noqa: S311  (chance, not a secret)
                continue
            self.free = start + (len(frame) / self.rate if self.rate else 0)
            self.waiting.append((self.free + self.delay, frame))

    def give(self, now: float) -> None:
        """Pass on what is due."""
        while self.waiting and self.waiting[0][0] <= now:
            frame = self.waiting.popleft()[1]
            try:
                self.target.send(frame)
            except (BlockingIOError, InterruptedError):
                pass  # the other end is full: lost
            except OSError as error:
                if error.errno not in LOST:
                    raise


LOST = {90, 105}  # EMSGSIZE, ENOBUFS


def carry(directions: tuple[Direction, ...]) -> None:
    """Carry frames until a link is gone.

    Raises: OSError.
    """
    sources = [direction.source for direction in directions]
    while True:
        due = [direction.waiting[0][0] for direction in directions if direction.waiting]
        select.select(sources, [], [], max(0.0, min(due) - time.monotonic()) if due else None)
        now = time.monotonic()
        for direction in directions:
            direction.take(now)
            direction.give(now)


def tap(link: str) -> socket.socket:
    """Listen to what comes in at a link, with what is left to do about checksums and segments."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    opened.setblocking(False)
    opened.bind((link, ETH_P_ALL))
    return opened


def main(one: str, two: str, delay: str, rate: str, loss: str) -> int:
    """Run until a link is gone."""
    first, second = tap(one), tap(two)
    numbers = float(delay), float(rate), float(loss)
    directions = Direction(first, second, *numbers), Direction(second, first, *numbers)
    print("ready", flush=True)  # noqa: T201
    try:
        carry(directions)
    except OSError as error:
        print(f"{one}, {two}: {error.strerror}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
