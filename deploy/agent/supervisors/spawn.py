"""Start a process that outlives the agent, and know later whether it lives.

The process and all its children inherit `run/<key>.alive`, exclusively locked: the kernel drops the lock when the last
of them is gone, however they or the agent died. The process writes its own pid into that file before it becomes the
program, so there is no moment in which it lives and nobody can tell its pid.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

FIRST = 3  # the first inherited descriptor, as LISTEN_FDS has it (sd_listen_fds(3))


class Alive(NamedTuple):
    """What a living process wrote of itself."""

    pid: int
    since: float
    listen: str | None
    log_offset: int = 0  # where its words begin in the log


NOTHING = Alive(0, 0.0, None)


def look(layout: Layout, key: str) -> Alive | None:
    """Tell whether processes of `key` live, and which is their first; None when none does."""
    path = layout.run_file(key, "alive")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look at once don't take each other for the process.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> Alive:
    """Read what the process wrote; it was forked a moment ago when there is nothing yet."""
    for _ in range(200):
        try:
            return Alive(**json.loads(os.pread(descriptor, 4096, 0)))
        except ValueError:
            time.sleep(0.005)
    return NOTHING


def recorded(layout: Layout, key: str) -> Alive:
    """Give what a process wrote of itself, even when it is dead by now."""
    try:
        return Alive(**json.loads(layout.run_file(key, "alive").read_bytes()))
    except (OSError, ValueError):
        return NOTHING


def keys(layout: Layout) -> list[str]:
    """List what was started here and not yet swept away."""
    try:
        return sorted(name[: -len(".alive")] for name in os.listdir(layout.run) if name.endswith(".alive"))
    except FileNotFoundError:
        return []


def spawn(
    layout: Layout,
    key: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    listen: str | None,
) -> int:
    """Start a program in a session of its own, detached from everything of the agent's; give its pid.

    `descriptors` become 3, 4, ... and are announced by LISTEN_FDS, as systemd does.

    Raises: AgentError already-running.
    """
    log = os.open(layout.log_file(key), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    alive = os.open(layout.run_file(key, "alive"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(alive, key)
        os.ftruncate(alive, 0)
        pid = os.fork()
        if pid == 0:
            _become(layout, key, argv, environment, [*descriptors, alive], log, listen)
        return pid
    finally:
        os.close(alive)
        os.close(log)


def _lock(alive: int, key: str) -> None:
    for _ in range(50):
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.02)  # someone may just be looking
    raise AgentError("already-running", f"processes of {key} still run", hint=f"`stop` generation {key} first")


def _become(
    layout: Layout,
    key: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    log: int,
    listen: str | None,
) -> NoReturn:
    """In the child: let go of everything of the agent's, say who we are, and run the program."""
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        aside = [fcntl.fcntl(d, fcntl.F_DUPFD, 64) for d in (null, log, log, *descriptors)]
        for position, descriptor in enumerate(aside):
            os.dup2(descriptor, position, inheritable=True)
        os.closerange(len(aside), min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16))
        pid = os.getpid()
        record: dict[str, Any] = {"pid": pid, "since": time.time(), "listen": listen, "log_offset": os.fstat(2).st_size}
        os.pwrite(len(aside) - 1, json.dumps(record).encode(), 0)
        Path(layout.run_file(key, "pid")).write_text(f"{pid}\n", encoding="ascii")
        os.chdir(layout.state)
        sockets = len(descriptors) - 1
        announced = {**environment, **({"LISTEN_FDS": str(sockets), "LISTEN_PID": str(pid)} if sockets else {})}
        os.execve(argv[0], list(argv), announced)  # noqa: S606
    except BaseException as error:
        os.write(2, f"releasectl: can't start {argv[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def reap() -> None:
    """Collect children that ended, so that no zombie stays while a session is open."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
