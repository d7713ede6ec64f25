"""A mail server of the tests' own: it takes every mail, and refuses recipients that begin with ``refused``."""

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

from aiosmtpd.smtp import SMTP, Envelope, Session


class Inbox:
    """What was sent, and the URL of the server that took it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.url = ""
        self.arrived = threading.Condition()

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused"):
            return f"550 there is no {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        mail: Any = email.message_from_bytes(content, policy=email.policy.default)
        with self.arrived:
            self.mails.append(mail)
            self.arrived.notify_all()
        return "250 OK"

    def to(self, address: str, subject: str = "") -> EmailMessage:
        """Return the last mail to an address, waiting for one."""

        def found() -> EmailMessage | None:
            fitting = (m for m in reversed(self.mails) if m["To"] == address and subject in m["Subject"])
            return next(fitting, None)

        with self.arrived:
            assert self.arrived.wait_for(found, 30), f"no mail to {address}"
            mail = found()
        assert mail
        return mail

    def link(self, address: str, page: str) -> str:
        """Return the end of the link to a page in the last mail to an address."""
        text = self.to(address).get_content()
        found = re.search(rf"/{page}/(\S+)", text)
        assert found, text
        return found[1]


@contextmanager
def serving() -> Iterator[Inbox]:
    """Run the server, on a port of the system's choice."""
    inbox, loop = Inbox(), asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    inbox.url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
    starting = loop.create_server(lambda: SMTP(inbox, enable_SMTPUTF8=True, loop=loop), sock=listener)
    server = loop.run_until_complete(starting)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield inbox
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
