"""A mail server that takes everything and delivers nothing: what was sent can be read."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


class Mailbox:
    """What came, oldest first."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[EmailMessage] = []
        self.arrived = threading.Condition()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a message."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()
        return "250 OK"

    def take(self, address: str, timeout: float = 30.0) -> EmailMessage:
        """Wait for a message to somebody, and take it out."""

        def theirs() -> EmailMessage | None:
            return next((message for message in self.messages if address in str(message["To"])), None)

        with self.arrived:
            assert self.arrived.wait_for(lambda: theirs() is not None, timeout), f"no mail to {address}"
            found = theirs()
            assert found is not None
            self.messages.remove(found)
            return found


def text_of(message: EmailMessage) -> str:
    """Return what a person reads."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link_in(message: EmailMessage) -> str:
    """Return the first address in a message."""
    found = re.search(r"https?://\S+", text_of(message))
    assert found, text_of(message)
    return found[0].rstrip(".,)>")


@contextmanager
def receiving() -> Iterator[Mailbox]:
    """Receive mail on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    mailbox = Mailbox(listener.getsockname()[1])
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(mailbox, loop=loop), sock=listener)

    server = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
