"""Where the sockets of shared SSH connections lie."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.errors import SlipwayError

SHARED = "/tmp"  # noqa: S108  (what is made there is checked)
LONGEST = 40  # characters of the path below which the connections' sockets lie


class SshError(SlipwayError):
    """Servers can't be reached by SSH from here."""


def directory() -> Path:
    """Give a directory for the connections' sockets that nobody else can reach; its path is short (unix(7): 107 bytes).

    Raises: SshError when somebody else made it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime if runtime and os.access(runtime, os.W_OK) else os.environ.get("TMPDIR") or SHARED)
    if len(str(base)) > LONGEST:
        base = Path(SHARED)
    directory = base / f"slipway-ssh-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or directory.is_symlink():
        raise SshError(f"{directory}: expected a directory that only you can enter", hint=f"remove {directory}")
    return directory
