"""Speak to the HAProxy of this host: a few commands, and about the project's own backend only.

HAProxy's runtime socket has no rights to give, and whoever may call the agent must be able to do nothing else there.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.agent import files, health, lease
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.layout import Layout

PATIENCE = 5.0  # seconds for one answer
ALLOWED = (
    "show info",
    "show stat [PROXY TYPE SERVER]",
    "show servers state [{name}]",
    "set server {name}/SERVER state ready|drain|maint",
    "set server {name}/SERVER addr ADDRESS port PORT",
)
_SHOW = r"show (?:info|stat(?: -?\d{{1,9}} \d{{1,9}} -?\d{{1,9}})?|servers state(?: {name})?)"
_SET = r"set server {name}/[\w.-]+ (?:state (?:ready|drain|maint)|addr [0-9A-Fa-f.:]{{2,45}} port \d{{1,5}})"
_STATE_FILE = re.compile(r"^\s*server-state-file\s+(\S+)", re.MULTILINE)


def changes(command: str, name: str) -> bool:
    """Tell whether a command changes something.

    Raises: BadRequest forbidden-command.
    """
    if re.fullmatch(_SHOW.format(name=re.escape(name)), command, re.ASCII):
        return False
    if re.fullmatch(_SET.format(name=re.escape(name)), command, re.ASCII):
        return True
    raise BadRequest(
        "forbidden-command", f"{command[:80]!r} is not for the load balancer's runtime socket",
        expected="; ".join(ALLOWED).format(name=name),
    )  # fmt: skip


def balancer(layout: Layout, commands: Sequence[str], save: bool, token: int | None) -> list[str]:
    """Send commands and give their answers; with `save`, let the states that servers have now outlive a reload.

    Raises: BadRequest forbidden-command; AgentError fenced, no-balancer, no-state-file.
    """
    changing = [command for command in commands if changes(command, layout.name or "")]
    with _not_overtaken(layout, token) if changing or save else contextlib.nullcontext():
        answers = [_send(layout.balancer, command) for command in commands]
        if save:
            _save(layout)
    return answers


@contextlib.contextmanager
def _not_overtaken(layout: Layout, token: int | None) -> Iterator[None]:
    """Let nobody take the lease over between the look at its number and the change."""
    with files.locked(layout.lease_lock, timeout=10, what="balancer"):
        if token is not None:
            lease.check_token(layout, token)
        yield


def _send(path: Path, command: str) -> str:
    """Send one command: HAProxy answers and closes (management guide, 9.3)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            health.reach(path, connection.connect)
            connection.sendall(command.encode("ascii") + b"\n")
            return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode("utf-8", "replace")
    except OSError as error:
        raise AgentError(
            "no-balancer", f"HAProxy does not answer on {path}: {error.strerror or error}",
            hint="systemctl status haproxy",
        ) from None  # fmt: skip


def _save(layout: Layout) -> None:
    """Write the states of all servers where a reload, and the next start, looks for them."""
    path = _state_file(layout.balancer_config)
    text = _send(layout.balancer, "show servers state")
    files.atomic_write(path, text.encode(), tmp=path.parent)


def _state_file(config: Path) -> Path:
    """Find the place that HAProxy's own configuration names.

    Raises: AgentError no-state-file.
    """
    try:
        found = _STATE_FILE.search(config.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        found = None
    if found is None:
        raise AgentError(
            "no-state-file", f"{config} names no server-state-file: a reload would forget who is drained",
            hint="highstate writes one that does",
        )  # fmt: skip
    return config.parent / found[1]
