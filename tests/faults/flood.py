"""Users who come at an even pace, whether others have been answered or not, and are never the same."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

PATIENCE = 120.0  # seconds: what takes so long is lost


@dataclass(frozen=True)
class Answer:
    """One request, and what became of it."""

    path: str
    status: int  # 0: none came
    seconds: float
    retry_after: bool = False


@dataclass
class Flood:
    """So many requests a second for each path."""

    port: int
    rates: dict[str, float]
    answers: list[Answer] = field(default_factory=list)
    _over: Event = field(default_factory=Event)

    async def ask(self, path: str) -> None:
        """Send one request, and read what comes."""
        began, data = time.monotonic(), b""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
                data = await reader.read(-1)
                writer.close()
        except OSError:
            data = b""
        status = re.match(rb"HTTP/1\.[01] (\d+) ", data)
        again = b"\r\nretry-after: " in data.partition(b"\r\n\r\n")[0].lower()
        self.answers.append(Answer(path, int(status[1]) if status else 0, time.monotonic() - began, again))

    async def _send(self, path: str, rate: float) -> None:
        began, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._over.is_set():
                sent += 1
                group.create_task(self.ask(path))
                await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))

    async def _all(self) -> None:
        await asyncio.gather(*(self._send(path, rate) for path, rate in self.rates.items()))

    def of(self, path: str, status: int) -> list[Answer]:
        """List the answers of a path that had this status."""
        return [answer for answer in self.answers if (answer.path, answer.status) == (path, status)]


@contextmanager
def flood(port: int, rates: dict[str, float]) -> Iterator[Flood]:
    """Let them come for a while; at the end all have been answered."""
    made = Flood(port, rates)
    thread = Thread(target=lambda: asyncio.run(made._all()), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made._over.set()
        thread.join()
