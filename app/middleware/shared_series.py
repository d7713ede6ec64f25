"""Numbers that all workers of a server keep together, in memory that they have inherited from the same process.

Each worker has a slot of its own and writes nowhere else, so nobody waits for anybody. A slot belongs to whoever holds
the lock on its byte of the file, which the kernel takes back when a worker dies, however that happens: the next worker
goes on with the counts of the dead one, so that no counter ever falls, and no memory is used up by worker after worker.

Workers that don't share a parent (gunicorn without ``--preload``) share nothing, and each knows its own numbers only.
"""

import fcntl
import logging
import mmap
import os
import struct
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

SLOTS = 64
SLOT_BYTES = 256 * 1024  # room for 1,500 series; pages that nobody writes to take no memory
HEAD = struct.Struct("=Q")  # bytes used
ENTRY = struct.Struct("=HHI")  # length of the name, number of values, 0
NUMBER = struct.Struct("=d")
GAUGE = "gauge:"
"""Begins the name of what is of living workers only."""


class SharedSeries:
    """Named rows of numbers: this process adds to its own, and reads the sums of all."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.slots = slots
        self.file = open_anonymous()
        weakref.finalize(self, os.close, self.file)
        os.truncate(self.file, slots * SLOT_BYTES)
        self.memory = mmap.mmap(self.file, slots * SLOT_BYTES)
        self.numbers = memoryview(self.memory).cast("d")  # everything lies at a multiple of eight
        self.lock = threading.Lock()
        self.owner = 0  # the process that has the slot; another one after a fork
        self.slot: int | None = None
        self.offsets: dict[str, int] = {}

    def add(self, name: str, amounts: Sequence[tuple[int, float]], size: int = 1) -> None:
        """Add each amount to the number at its place in a row of ``size`` numbers."""
        with self.lock:
            offset = self._offset(name, size)
            if offset is None:
                return
            first = offset // NUMBER.size
            for place, amount in amounts:
                self.numbers[first + place] += amount

    def sums(self) -> dict[str, list[float]]:
        """Return each row, added up over all workers; of gauges, over those that live."""
        found: dict[str, list[float]] = {}
        with self.lock:
            for slot in range(self.slots):
                rows = list(self._rows(slot))
                living = not rows or self._lives(slot)
                for name, offset, size in rows:
                    if name.startswith(GAUGE) and not living:
                        continue
                    total = found.setdefault(name, [0.0] * size)
                    for place in range(min(size, len(total))):
                        total[place] += NUMBER.unpack_from(self.memory, offset + place * NUMBER.size)[0]
        return found

    def _offset(self, name: str, size: int) -> int | None:
        if self.owner != os.getpid():
            self._take_slot()
        if self.slot is None:
            return None
        if name not in self.offsets:
            made = self._append(self.slot, name, size)
            if made is None:
                return None
            self.offsets[name] = made
        return self.offsets[name]

    def _take_slot(self) -> None:
        """Find a slot that nobody living has, and go on with its counts."""
        self.owner, self.slot, self.offsets = os.getpid(), None, {}
        for slot in range(self.slots):
            try:
                fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except OSError:
                continue
            self.slot = slot
            for name, offset, size in self._rows(slot):
                self.offsets[name] = offset
                if name.startswith(GAUGE):
                    self.memory[offset : offset + size * NUMBER.size] = bytes(size * NUMBER.size)
            return
        logger.warning("no metrics of this process: all %d slots are taken", self.slots)

    def _lives(self, slot: int) -> bool:
        """Say whether a process has the slot. One's own lock is not asked for: that would give it up."""
        if self.owner == os.getpid() and slot == self.slot:
            return True
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except OSError:
            return True
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, slot)
        return False

    def _append(self, slot: int, name: str, size: int) -> int | None:
        """Write a new row of noughts, then say that it is there; None if the slot is full."""
        start = slot * SLOT_BYTES
        used = HEAD.unpack_from(self.memory, start)[0] or HEAD.size
        text = name.encode()
        padded = -(-len(text) // 8) * 8
        end = used + ENTRY.size + padded + size * NUMBER.size
        if end > SLOT_BYTES:
            return None
        at = start + used
        ENTRY.pack_into(self.memory, at, len(text), size, 0)
        self.memory[at + ENTRY.size : at + ENTRY.size + len(text)] = text
        HEAD.pack_into(self.memory, start, end)
        return at + ENTRY.size + padded

    def _rows(self, slot: int) -> Iterator[tuple[str, int, int]]:
        """Yield name, offset and size of each row in a slot."""
        start = slot * SLOT_BYTES
        end = start + HEAD.unpack_from(self.memory, start)[0]
        at = start + HEAD.size
        while at < end:
            length, size, _ = ENTRY.unpack_from(self.memory, at)
            name = self.memory[at + ENTRY.size : at + ENTRY.size + length].decode()
            offset = at + ENTRY.size + -(-length // 8) * 8
            yield name, offset, size
            at = offset + size * NUMBER.size


def open_anonymous() -> int:
    """Return a file that has no name and is gone with the last process that has it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("metrics")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
