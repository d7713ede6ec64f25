"""Users of every kind, who never try again: what they asked, what they got, and when."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

PATIENCE = 120.0  # seconds: what takes so long is lost


@dataclass(frozen=True)
class Answer:
    """One request, and what became of it."""

    what: str
    at: float  # time.monotonic() when it was sent
    seconds: float
    status: int  # 0: none came
    said: str = ""  # what was wrong
    retry_after: str | None = None


@dataclass
class Users:
    """Clients with a connection each, which is kept as long as the load balancer lets them."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)  # ids of POSTs that were answered with 200
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    BODY: ClassVar[bytes] = b"x" * 300_000

    def start(self, what: str, send: Callable[[http.client.HTTPConnection], None], pause: float) -> None:
        """Start a user who sends a request, reads the answer, pauses, and sends the next one."""
        thread = threading.Thread(target=self._go, args=(what, send, pause), daemon=True)
        self._threads.append(thread)
        thread.start()

    def everybody(self) -> None:
        """Start users of all kinds."""
        for number in range(6):
            self.start("page", lambda c: c.request("GET", "/page"), 0.15 + 0.01 * number)
        for _ in range(3):
            self.start("post", self.post, 0.2)
        for _ in range(2):
            self.start("long", lambda c: c.request("GET", "/long?10"), 0.5)
        self.start("upload", self.upload, 0.5)
        self.start("slow reader", lambda c: c.request("GET", "/much"), 0.5)

    def post(self, connection: http.client.HTTPConnection) -> None:
        """Send something that must be done once."""
        connection.request("POST", "/once", body=uuid.uuid4().hex)

    def upload(self, connection: http.client.HTTPConnection) -> None:
        """Send a body bit by bit, over two seconds."""

        def bits() -> Iterator[bytes]:
            for _ in range(20):
                yield self.BODY[: len(self.BODY) // 20]
                time.sleep(0.1)

        connection.request("POST", "/upload", body=bits(), headers={"Content-Length": str(len(self.BODY))})

    def _go(self, what: str, send: Callable[[http.client.HTTPConnection], None], pause: float) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.wait(pause):
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            began, status, said, again = time.monotonic(), 0, "", None
            try:
                send(connection)
                answer = connection.getresponse()
                body = self._read(answer, slowly=what == "slow reader")
                status, again = answer.status, answer.headers["Retry-After"]
                said = "" if status == 200 else body[:200].decode(errors="replace")
                if what == "post" and status == 200:
                    self.posted.append(body.decode().strip('"'))
                if answer.will_close:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
                connection.close()
                connection = None
            self.answers.append(Answer(what, began, time.monotonic() - began, status, said, again))
        if connection:
            connection.close()

    @staticmethod
    def _read(answer: http.client.HTTPResponse, *, slowly: bool) -> bytes:
        parts = []
        while part := answer.read(100_000):
            parts.append(part)
            if slowly:
                time.sleep(0.2)
        return b"".join(parts)

    def stop(self) -> None:
        """Let everybody finish the request at hand."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a request hangs"

    @property
    def failed(self) -> list[Answer]:
        """What did not end well."""
        return [answer for answer in self.answers if answer.status != 200]


@contextmanager
def users(port: int) -> Iterator[Users]:
    """Give users who are gone at the end."""
    made = Users(port)
    try:
        yield made
    finally:
        made.stop()


def percentile(seconds: list[float], share: float) -> float:
    """Give the value, in milliseconds, that `share` of them are below."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0
