"""A Redis server of a test's own: Debian's program, on a free port of loopback, with a password, nothing on a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis

from tests.deploy.agent.kit import eventually
from tests.support.ports import free_ports

PASSWORD = "Vb7#w/Zr 3@%"


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """The URL as BROKER_URL has it: without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def variables(self) -> dict[str, str]:
        """What the application needs to find it."""
        return {"BROKER_URL": self.url, "REDIS_PASSWORD": PASSWORD}

    def client(self) -> redis.Redis:
        """Connect to it."""
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=10)


@contextmanager
def running() -> Iterator[Server]:
    """Start a server, and stop it afterwards."""
    if shutil.which("redis-server") is None and os.geteuid() != 0:
        pytest.skip("needs redis-server: as root, packaging/workstation.sh dev")
    while True:  # somebody else may take the port meanwhile
        server = Server(*free_ports(1))
        process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stdin is not None
        process.stdin.write(
            f'bind 127.0.0.1\nport {server.port}\nrequirepass "{PASSWORD}"\nsave ""\nappendonly no\ndaemonize no\n'
        )
        process.stdin.close()
        if eventually(lambda at=server, started=process: _answers(at) or started.poll(), 30) is True:
            break
    try:
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: Server) -> bool:
    try:
        with server.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
