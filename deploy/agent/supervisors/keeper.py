"""The keeper: a tiny process that holds the listening socket and hands it to whoever may open `run/listen.sock`.

It does what `<name>.socket` does under systemd: generations come and go on one socket, and no accept queue is lost.
"""

from __future__ import annotations

import contextlib
import socket

LISTENING, CONTROL = 3, 4  # its inherited descriptors


def keep(address: str) -> int:
    """Serve for ever. Everything it needs is imported by now: the agent's file may be replaced while it runs."""
    control = socket.socket(fileno=CONTROL)
    while True:
        connection, _ = control.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(1.0)
            socket.send_fds(connection, [address.encode()], [LISTENING])
