"""A pgbouncer of the tests' own that pools transactions: Debian's program, before a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import DEADLINE, NAME, OWNER, Cluster, account

PROGRAM = Path("/usr/sbin/pgbouncer")
PORT = 6432  # of a socket in a folder of its own: nobody else's
CONFIGURATION = """
[databases]
* = host={server} port={port}
[pgbouncer]
pool_mode = transaction
default_pool_size = 2
listen_addr =
listen_port = {own}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
ignore_startup_parameters = extra_float_digits,options
"""


def needed() -> None:
    """Skip the test where there is none, except where nothing may be."""
    if not PROGRAM.exists():
        message = "pgbouncer is not installed; as root, type: apt-get install pgbouncer"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)


@contextmanager
def running(cluster: Cluster) -> Iterator[Path]:
    """Give the folder of its socket. It dies with this process, however that ends."""
    needed()
    folder = cluster.folder / "pool"
    folder.mkdir()
    text = CONFIGURATION.format(server=cluster.folder, port=cluster.port, own=PORT, folder=folder)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "users").write_text(f'"{NAME}" ""\n"{OWNER}" ""\n')
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    command = ["setpriv", "--pdeathsig", "KILL", "--", str(PROGRAM), str(folder / "pgbouncer.ini")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **account())
    deadline = time.monotonic() + DEADLINE
    try:
        while not (folder / f".s.PGSQL.{PORT}").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield folder
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
