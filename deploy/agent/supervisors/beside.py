"""What runs beside the web server, such as a worker: how it is called, and how it says that it can take work."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable

from deploy.agent.errors import AgentError, NotServing
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import Say, serving

POLL = 0.1  # seconds between two looks at a process that comes up
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (SCM_CREDENTIALS in unix(7))
TELL = 5.0  # seconds between two words to the operator meanwhile


def command(wanted: Manifest, process: str, python: str) -> list[str]:
    """Say what is run.

    Raises: AgentError no-process.
    """
    found = wanted.contract.get("processes", {}).get(process)
    if not found:
        raise AgentError(
            "no-process", f"release {wanted.version} has no process {process!r}",
            hint=f"name it in [tool.slipway.processes.{process}]",
        )  # fmt: skip
    return [python, *found["command"]]


class Notified:
    """The socket at which a process says READY=1 (sd_notify(3)), where no systemd listens."""

    def __init__(self, user: int | None = None) -> None:
        self._user = os.geteuid() if user is None else user
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # A name of the kernel's choice (unix(7), autobind): paths of directories may be too long for an address.
        self._socket.bind("")
        self._socket.setblocking(False)
        self.variables = {"NOTIFY_SOCKET": "@" + os.fsdecode(self._socket.getsockname()[1:])}

    def fileno(self) -> int:
        """Tell what to wait for."""
        return self._socket.fileno()

    def said_ready(self) -> bool:
        """Read what was said so far; wait a moment for a word."""
        select.select([self._socket], [], [], POLL)
        while True:
            try:
                words, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return False
            users = [CREDENTIALS.unpack(data)[1] for _, kind, data in ancillary if kind == socket.SCM_CREDENTIALS]
            if b"READY=1" in words.splitlines() and users == [self._user]:  # such a name is open to everybody
                return True

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def wait(
    key: str,
    deadline: float,
    *,
    said_ready: Callable[[], bool],
    check_alive: Callable[[], None],
    tail: Callable[[], str],
    say: Say,
) -> None:
    """Wait until a process has said READY=1; `said_ready` takes a moment, `check_alive` raises when it is gone.

    Raises: NotServing died, timeout.
    """
    told = began = time.monotonic()
    while not said_ready():
        check_alive()
        now = time.monotonic()
        if now - began > deadline:
            raise NotServing(
                "timeout", f"{serving.whose(key)} did not say READY=1 within {deadline:g} s",
                expected="READY=1 at NOTIFY_SOCKET (sd_notify(3))", got="silence", detail=tail(),
                hint="see its log; if it only starts slowly, raise [tool.slipway.health] deadline",
            )  # fmt: skip
        if now - told > TELL:
            told = now
            say(f"{serving.whose(key)} is not ready, {deadline - (now - began):.0f} s left")
    check_alive()
