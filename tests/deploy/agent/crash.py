"""Kill a piece of work at its k-th effect, as `kill -9` would: an audit hook in a forked child counts and exits.

Every call that changes something outside the process raises an audit event before it happens (PEP 578), so going
through k = 0, 1, 2, ... visits every state that a killed agent can leave.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

EFFECTS = {
    "fcntl.flock", "os.chmod", "os.fork", "os.kill", "os.killpg", "os.link", "os.mkdir", "os.remove", "os.rename",
    "os.rmdir", "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "socket.bind", "subprocess.Popen",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
KILLED, DONE = 137, 0


def is_effect(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether an audit event is about to change something."""
    if event == "open":
        return bool(isinstance(arguments[2], int) and arguments[2] & WRITING)
    return event in EFFECTS


def kill_at(k: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies at its k-th effect; say whether it came that far.

    Raises: AssertionError when the work failed otherwise.
    """
    pid = os.fork()
    if pid == 0:
        _die_at(k, work)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (KILLED, DONE), f"killed at effect {k}, or else done, was expected; exit status {status}"
    return status == KILLED


def _die_at(k: int, work: Callable[[], object]) -> None:
    me, left = os.getpid(), k

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if os.getpid() == me and is_effect(event, arguments):
            if left == 0:
                os._exit(KILLED)
            left -= 1

    try:
        sys.addaudithook(hook)
        work()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(DONE)


def every_kill(work: Callable[[], object], *, start: int = 0, step: int = 1) -> Iterator[int]:
    """Yield k after a child was killed at its k-th effect, until one comes to its end."""
    k = start
    while kill_at(k, work):
        yield k
        k += step
