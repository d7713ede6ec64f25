"""Who rolls out, and the name of a rollout."""

from __future__ import annotations

import getpass
import secrets
import socket
import time


def new_identifier() -> str:
    """Name a rollout by the time at which it begins."""
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(2)


def by() -> str:
    """Name who rolls out, and from where."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
