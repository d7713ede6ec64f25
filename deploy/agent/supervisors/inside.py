"""What a container runs: it fetches sockets, variables and secrets, and has a child become the program.

This file alone goes into the container, and runs there under the release's own Python: standard library only, 3.9 and
later, and nothing of the agent's. Engines can't hand over open sockets, and show each variable to whoever may ask them;
a socket that both sides can reach hands over all of that, and nothing of it is on a disk.

    python -ISB inside.py SOCKET
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

CREDENTIALS = "/run/credentials"  # memory, of the app's user alone
MOST = 8  # descriptors
ASIDE = 64
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(path: str) -> int:
    """Be process 1, which has no default for signals: pass them on, collect orphans, end as the program ends."""
    child: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda caught, _: os.kill(child[0], caught) if child else sys.exit(1))
    child.append(os.fork())
    if not child[0]:
        become(path)
    while True:
        pid, status = os.wait()
        if pid == child[0]:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def become(path: str) -> None:
    """Fetch what we are to be, and be it; leave when that can't be."""
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        wanted, descriptors = fetch(path)
        os.umask(0o077)
        keep_secrets(wanted["secrets"])
        os.chdir(wanted["directory"])
        arrange(descriptors)
        environment = wanted["environment"]
        if wanted["sockets"]:
            environment |= {"LISTEN_FDS": str(wanted["sockets"]), "LISTEN_PID": str(os.getpid())}
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so across exec
        os.execve(wanted["argv"][0], wanted["argv"], environment)  # noqa: S606
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        os.write(2, f"releasectl: the container can't start: {reason}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def fetch(path: str) -> tuple[dict[str, Any], list[int]]:
    """Ask for a description, and descriptors."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        found = array.array("i")
        data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(MOST * found.itemsize))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found.frombytes(content[: len(content) - len(content) % found.itemsize])
        while more := connection.recv(1 << 16):
            data += more
    return json.loads(data), list(found)


def arrange(descriptors: Sequence[int]) -> None:
    """Make the first two our output and error, and the others 3, 4, ... (sd_listen_fds(3))."""
    for position, descriptor in enumerate([fcntl.fcntl(each, fcntl.F_DUPFD, ASIDE) for each in descriptors], 1):
        os.dup2(descriptor, position)
    os.closerange(len(descriptors) + 1, 2 * ASIDE)


def keep_secrets(secrets: Mapping[str, str]) -> None:
    """Write each secret to a file that only this user can read, in memory."""
    for name, value in secrets.items():
        descriptor = os.open(f"{CREDENTIALS}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
