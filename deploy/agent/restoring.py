"""Put servers back into service whose deployer has vanished: a process of its own, beside HAProxy, as long as needed.

A server is drained under the lease of a deployer. When nobody holds that lease any more, the server comes back once
HAProxy's own check of it has passed. Whoever takes the lease meanwhile has the say: this process then does nothing.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from deploy.agent import files, holds, lease, ledger
from deploy.agent.balancer import save, send
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

POLL = 1.0  # seconds between two looks
GRACE = 3.0  # seconds that a heartbeat may be late: it would still find its lease
AFRESH = 15.0  # seconds in which a watcher that just began has locked, and one that ended is forgotten by systemd
MAINT, DRAIN = 0x01 | 0x02 | 0x04 | 0x20, 0x08 | 0x10  # bits of srv_admin_state, as in deploy/balancer.py
RUNNING = "2"  # srv_op_state


class Server(NamedTuple):
    """A server as HAProxy sees it."""

    ready: bool
    maint: bool
    fit: bool  # HAProxy's check has passed since it left maintenance
    check: str


def ensure(layout: Layout) -> None:
    """See that a watcher lives, unless nothing is held. Whoever drains holds the lock of the lease meanwhile.

    Raises: AgentError systemd.
    """
    if not holds.read(layout) or _watched(layout):
        return
    from deploy.agent.supervisors.listener import myself

    command, environment = myself()
    if layout.systemd:
        _as_unit(layout, [*command, "--name", str(layout.name), "watch"])
        return
    command += ["--root", str(layout.base), "--name", str(layout.name), "watch"]
    with (layout.var / "watch.log").open("ab") as log:
        devices = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        words = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
        given = {**os.environ, **environment}
        os.posix_spawn(command[0], command, given, file_actions=[*devices, *words], setsid=True)  # it outlives us


def _as_unit(layout: Layout, command: list[str]) -> None:
    from deploy.agent.supervisors import systemctl
    from deploy.agent.supervisors.transient import systemd_run

    words = systemd_run(f"{layout.name}-watch.service", [("Restart", "on-failure"), ("RestartSec", "1")], [], command)
    deadline = time.monotonic() + AFRESH
    while True:
        try:
            systemctl.run(words)
            return
        except AgentError:
            if _watched(layout):  # one that was just begun had not come to its lock yet
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _watched(layout: Layout) -> bool:
    try:
        descriptor = os.open(layout.watch_lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def stop(layout: Layout) -> None:
    """End the watcher of a host that is taken away."""
    while _watched(layout):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(layout.watch_lock.read_text(encoding="ascii")), signal.SIGKILL)
        time.sleep(0.02)


def watch(layout: Layout) -> int:
    """Look again and again until nothing is left to do; give the exit status. At most one process a host does it."""
    try:
        descriptor = os.open(layout.watch_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    os.chdir(layout.var)
    watcher = Watcher(layout, lambda: os.close(descriptor))
    while True:
        try:
            if watcher.turn():
                return 0
        except FileNotFoundError:  # the environment was destroyed
            return 0
        except AgentError as error:
            watcher.say(error.message)
        time.sleep(POLL)


@dataclass
class Watcher:
    """One process that watches; `leave` lets go of its lock."""

    layout: Layout
    leave: Callable[[], None] = lambda: None
    number: int = -1  # of the lease, taken for nobody when its holder had vanished
    told: set[str] = field(default_factory=set)

    def turn(self) -> bool:
        """Look once, and do the next thing; say whether nothing is left to do.

        Raises: AgentError fenced, when somebody has taken the lease meanwhile; no-balancer.
        """
        with files.locked(self.layout.lease_lock, timeout=10, what="watch"):
            held, found = holds.read(self.layout), lease.read(self.layout)
            if lease.held(found, time.time() - GRACE, lease.owner_is_gone):
                return False
            vanished = holds.of_vanished(held)
            if not vanished:
                self._fence(held)
                self.leave()  # under the lock: whoever drains now finds nobody, and starts another
                return True
            if found.token != self.number or found.owner is not None:
                self.number = lease.overtake(self.layout)  # who vanished can't come back and undo it
        for server in vanished:
            self._bring_back(server)
        return False

    def _bring_back(self, server: str) -> None:
        """Do the next thing that puts a server back: let HAProxy check it, or, when it passed, send it requests."""
        layout, seen = self.layout, look(self.layout).get(server)
        command = f"set server {layout.name}/{server} state"
        if seen is None or seen.ready:
            with self._still():
                holds.write(layout, {s: h for s, h in holds.read(layout).items() if s != server})
        elif seen.maint:
            with self._still():
                send(layout.balancer, f"{command} drain")  # checked again, and still without users
                save(layout)
        elif seen.fit:
            with self._still():
                found = holds.read(layout)
                hold = found.pop(server, {})
                send(layout.balancer, f"{command} ready")
                save(layout)
                holds.write(layout, found)
            self._record(server, hold, seen.check)
        else:
            self.say(f"{server}: its deployer has vanished; it stays out of service, its check says {seen.check}")

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        """Act only while nobody has taken the lease since.

        Raises: AgentError fenced.
        """
        with files.locked(self.layout.lease_lock, timeout=10, what="watch"):
            lease.check_token(self.layout, self.number)
            yield

    def _fence(self, held: holds.Holds) -> None:
        """Keep those out who are fenced, should HAProxy have forgotten it."""
        fenced = holds.fenced(held)
        seen = look(self.layout) if fenced else {}
        for server in (name for name in fenced if name in seen and seen[name].ready):
            send(self.layout.balancer, f"set server {self.layout.name}/{server} state maint")
            save(self.layout)
            self.say(f"{server} is fenced: out of service again")

    def _record(self, server: str, hold: Mapping[str, object], check: str) -> None:
        whose = f"rollout {hold.get('rollout')} by {hold.get('by')}"
        detail = f"its deployer has vanished ({whose}); back in service by itself, check says {check}"
        self.say(f"{server}: {detail}")
        entry = {"kind": "restore", "phase": "end", "host": server, "by": "releasectl", "detail": detail}
        ledger.append(self.layout, [{"rollout": str(hold.get("rollout", "")), **entry}])

    def say(self, text: str) -> None:
        """Say something to the journal, or to the log beside it; the same thing once."""
        if text not in self.told:
            self.told.add(text)
            sys.stderr.write(f"releasectl: {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
            sys.stderr.flush()


def look(layout: Layout) -> dict[str, Server]:
    """Look at the servers of the project's backend.

    Raises: AgentError no-balancer.
    """
    stat = send(layout.balancer, "show stat -1 4 -1")
    listed = send(layout.balancer, f"show servers state {layout.name}").split("\n", 1)[-1]
    counters = {row["svname"]: row for row in _table(stat, ",") if row["pxname"] == layout.name}
    found = {}
    for row in _table(listed, " "):
        name, admin, counted = row["srv_name"], int(row["srv_admin_state"]), counters.get(row["srv_name"], {})
        found[name] = Server(
            ready=not admin & (MAINT | DRAIN),
            maint=bool(admin & MAINT),
            # Not "UP 1/2": after maintenance it counts as up until one check fails, so wait for one that passed.
            fit=row["srv_op_state"] == RUNNING and counted.get("status") in ("UP", "DRAIN"),
            check=counted.get("check_status", "").lstrip("* "),
        )
    return found


def _table(text: str, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.strip()[2:]), delimiter=delimiter))  # behind "# "
