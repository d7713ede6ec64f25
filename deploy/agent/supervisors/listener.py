"""The shared listening socket: made once, kept by the keeper, found again when the keeper is gone."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from pathlib import Path

from deploy.agent import files, health
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.layout import Layout
from deploy.agent.supervisors import proc, spawn

KEY = "listen"
BACKLOG = 2048


def parse(address: str) -> tuple[socket.AddressFamily, str, int]:
    """Split `127.0.0.1:8101`, `[::1]:8101` or `:8101` (all addresses).

    Raises: BadRequest bad-address.
    """
    host, colon, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") and host.endswith("]") else socket.AF_INET
    host = host.strip("[]") if family == socket.AF_INET6 else host or "0.0.0.0"  # noqa: S104
    try:
        socket.inet_pton(family, host)
        if not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise OSError
    except OSError:
        raise BadRequest(
            "bad-address", "`listen` is no address to listen on", expected="ADDRESS:PORT, such as 127.0.0.1:8101",
            got=address, hint="correct it in the environment file",
        ) from None  # fmt: skip
    return family, host, int(port)


def address_of(layout: Layout) -> str | None:
    """Tell what the keeper listens on; None when there is no keeper."""
    keeper = spawn.look(layout, KEY)
    return keeper.listen if keeper else None


def obtain(layout: Layout, address: str) -> socket.socket:
    """Give the listening socket of an address: the keeper's, else what living processes still hold, else a new one.

    Raises: AgentError bad-address, port-in-use, cannot-listen, listener-lost.
    """
    parse(address)
    keeper = spawn.look(layout, KEY)
    if keeper and keeper.listen == address:
        held = _fetch(layout, address)
        if held:
            return held
        proc.kill(keeper.pid, signal.SIGKILL)  # it hangs, or its socket file is gone: living processes have copies
        _await_end(layout)
    return rescue(layout, address) or _bind(layout, address)


def _fetch(layout: Layout, address: str) -> socket.socket | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(5.0)
            health.reach(layout.run_file(KEY, "sock"), connection.connect)
            said, descriptors, _, _ = socket.recv_fds(connection, 256, 1)
        except OSError:
            return None
    if said != address.encode() or not descriptors:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return socket.socket(fileno=descriptors[0])


def rescue(layout: Layout, address: str) -> socket.socket | None:
    """Take the listening socket back from a living generation whose keeper was killed.

    Raises: AgentError listener-lost when the kernel does not let us.
    """
    for key in spawn.keys(layout):
        alive = spawn.look(layout, key) if key != KEY else None
        if alive is None or alive.listen != address:
            continue
        refused, sockets = None, proc.listening(parse(address)[2])
        for pid in proc.holders(layout.run_file(key, "alive")):
            descriptor = proc.descriptor_of(pid, sockets)
            if descriptor is None:
                continue
            try:
                return socket.socket(fileno=proc.copy_descriptor(pid, descriptor))
            except OSError as error:
                refused = error.strerror if error.errno in (errno.EPERM, errno.ENOSYS) else refused
        if refused:
            raise AgentError(
                "listener-lost",
                f"the keeper of {address} was killed, and generation {key} can't be asked for the socket: {refused}",
                hint="sysctl kernel.yama.ptrace_scope=0 allows it; else `stop` everything and `start` (a short gap)",
            )
    return None


def _bind(layout: Layout, address: str) -> socket.socket:
    family, host, port = parse(address)
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            holder = proc.listener(port) or "unknown"
            raise AgentError(
                "port-in-use", f"{address} is in use by {holder}", expected=f"{address} free", got=holder,
                hint="stop that process, or give this environment another port",
            ) from None  # fmt: skip
        raise AgentError(
            "cannot-listen", f"can't listen on {address}: {error.strerror}", hint="check address, port and privileges"
        ) from None
    return made


def ensure_keeper(layout: Layout, held: socket.socket, address: str) -> None:
    """See that a keeper holds this socket; one that holds another address is replaced."""
    keeper = spawn.look(layout, KEY)
    if keeper and keeper.listen == address:
        return
    stop(layout)
    path = layout.run_file(KEY, "sock")
    files.remove(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        health.reach(path, control.bind)
        control.listen(16)
        command, environment = myself()
        spawn.spawn(
            layout, KEY, [*command, "--root", str(layout.base), "keep", address], environment,
            [held.fileno(), control.fileno()], address,
        )  # fmt: skip


def myself() -> tuple[list[str], dict[str, str]]:
    """Give the command that runs this very agent, and what it needs in its environment."""
    root = Path(__file__).absolute().parents[3]
    if root.is_file():
        return [sys.executable, "-I", str(root)], {}
    return [sys.executable, "-m", "deploy.agent"], {"PYTHONPATH": str(root)}


def stop(layout: Layout) -> None:
    """End the keeper; processes that inherited the socket still have it."""
    keeper = spawn.look(layout, KEY)
    if keeper:
        proc.kill(keeper.pid, signal.SIGTERM)
        _await_end(layout)
    for suffix in ("sock", "pid"):
        files.remove(layout.run_file(KEY, suffix))


def _await_end(layout: Layout) -> None:
    for attempt in range(500):
        if spawn.look(layout, KEY) is None:
            return
        if attempt == 100:
            for pid in proc.holders(layout.run_file(KEY, "alive")):
                proc.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
