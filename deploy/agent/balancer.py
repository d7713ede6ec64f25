"""Speak to the HAProxy of this host: a few commands, and about the project's own backend only.

HAProxy's runtime socket has no rights to give, and whoever may call the agent must be able to do nothing else there.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import files, health, holds, lease
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.layout import Layout

PATIENCE = 5.0  # seconds for one answer
LONGEST = 16 << 20  # bytes of one answer; a server's state is a line of 200
ALLOWED = (
    "show info",
    "show stat [PROXY TYPE SERVER]",
    "show servers state [{name}]",
    "set server {name}/SERVER state ready|drain|maint",
    "set server {name}[.BACKEND]/SERVER addr ADDRESS port PORT",
    "show holds",
    "probe {name}/SERVER PATH HOST",
    "show|clear acl SWITCH",
    "add acl SWITCH on",
)
_SHOW = r"show (?:info|holds|stat(?: -?\d{{1,9}} \d{{1,9}} -?\d{{1,9}})?|servers state(?: {name})?)"
# Servers in backends beside the project's own follow those (docs/decisions/0053-backends-that-follow-one.md).
_SET = (
    r"set server (?:{name}/[\w.-]+ state (?:ready|drain|maint)"
    r"|{name}(?:\.[a-z0-9-]+)?/[\w.-]+ addr [0-9A-Fa-f.:]{{2,45}} port \d{{1,5}})"
)
_PROBE = r"probe {name}/([\w.-]+) (/[!-~]*) ([\w.:\[\]-]+)"  # answered here: HAProxy can't be told to check at once
_SWITCH = r"-m str -f (\S+)"  # the list that, with `on` in it, closes the site (salt/haproxy/files/haproxy.cfg.jinja)
_STATES = re.compile(r"1\n# be_id be_name ")  # how a server-state file begins (management guide, "show servers state")
_ENTRY = re.compile(r"0x[0-9a-f]+ (\S+)")  # of a list, as "show acl" writes it
_STATE_FILE = r"^\s*server-state-file\s+(\S+)"


def changes(command: str, name: str, switch: str | None = None) -> bool:
    """Tell whether a command changes something; `switch` is the list that closes the site, where there is one.

    Raises: BadRequest forbidden-command.
    """
    if re.fullmatch(_SHOW.format(name=re.escape(name)), command, re.ASCII) or command == f"show acl {switch or ''}":
        return False
    if re.fullmatch(_PROBE.format(name=re.escape(name)), command, re.ASCII):
        return False
    if re.fullmatch(_SET.format(name=re.escape(name)), command, re.ASCII):
        return True
    if switch and command in (f"clear acl {switch}", f"add acl {switch} on"):
        return True
    raise BadRequest(
        "forbidden-command", f"{command[:80]!r} is not for the load balancer's runtime socket",
        expected="; ".join(ALLOWED).format(name=name),
    )  # fmt: skip


def balancer(layout: Layout, commands: Sequence[str], saves: bool, token: int | None, hold: Any = None) -> list[str]:
    """Send commands and give their answers; with `saves`, let the states that servers have now outlive a reload.

    `hold` says why servers are taken out of service. `show holds` is answered here: HAProxy knows no reasons.

    Raises: BadRequest forbidden-command, bad-argument; AgentError fenced, no-balancer, no-state-file.
    """
    why, switch = holds.checked(hold), _named(layout.balancer_config, _SWITCH)
    changing = [command for command in commands if changes(command, layout.name or "", switch)]
    with _not_overtaken(layout, token) if changing or saves else contextlib.nullcontext():
        with _held(layout, changing, why) if changing else contextlib.nullcontext():
            answers = [_answer(layout, command) for command in commands]
        if saves:
            save(layout)
    return answers


def _answer(layout: Layout, command: str) -> str:
    if command == "show holds":
        return json.dumps(holds.read(layout))
    if probe := re.fullmatch(_PROBE.format(name=re.escape(layout.name or "")), command, re.ASCII):
        return _probe(layout, *probe.groups())
    return send(layout.balancer, command)


def _probe(layout: Layout, server: str, path: str, host: str) -> str:
    """Ask a server from here, where HAProxy sends its requests; give the status, or why there is none."""
    lines = send(layout.balancer, f"show servers state {layout.name}").splitlines()
    names = next((line[2:].split() for line in lines if line.startswith("# ")), [])
    states = [dict(zip(names, line.split())) for line in lines if line and not line.startswith("#")]
    found = next((state for state in states if state.get("srv_name") == server), None)
    if found is None:
        return f"there is no server {server}"
    at, port = found.get("srv_addr", ""), found.get("srv_port", "")
    if not re.fullmatch(r"[0-9A-Fa-f.:]+ [0-9]{1,5}", f"{at} {port}"):
        return f"HAProxy gives server {server} no address"
    answer = health.ask_address(f"[{at}]:{port}" if ":" in at else f"{at}:{port}", path, host, PATIENCE)
    return str(answer.status or answer.text)


@contextlib.contextmanager
def _held(layout: Layout, commands: Sequence[str], why: dict[str, Any] | None) -> Iterator[None]:
    """Write down who is held before it is, and who is free when it is: in between, a watcher sees to either."""
    before = holds.read(layout)
    held = holds.after(before, commands, why)
    if {**before, **held} != before:
        holds.write(layout, {**before, **held})
    if why and why["why"] == "rollout":
        from deploy.agent import restoring

        restoring.ensure(layout)
    yield
    if held != {**before, **held}:
        holds.write(layout, held)


@contextlib.contextmanager
def _not_overtaken(layout: Layout, token: int | None) -> Iterator[None]:
    """Let nobody take the lease over between the look at its number and the change."""
    with files.locked(layout.lease_lock, timeout=10, what="balancer"):
        if token is not None:
            lease.check_token(layout, token)
        yield


def send(path: Path, command: str) -> str:
    """Send one command: HAProxy answers and closes (management guide, 9.3).

    Raises: AgentError no-balancer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            health.reach(path, connection.connect)
            connection.sendall(command.encode("ascii") + b"\n")
            return _all(connection).decode("utf-8", "replace")
    except OSError as error:
        raise AgentError(
            "no-balancer", f"HAProxy does not answer on {path}: {error.strerror or error}",
            hint="systemctl status haproxy",
        ) from None  # fmt: skip


def _all(connection: socket.socket) -> bytes:
    """Read to the end, with a deadline for the whole: whoever says a word now and then may not hold the lock for ever.

    Raises: OSError.
    """
    end, found = time.monotonic() + PATIENCE, bytearray()
    while len(found) < LONGEST:
        connection.settimeout(max(0.001, end - time.monotonic()))
        piece = connection.recv(1 << 16)
        if not piece:
            return bytes(found)
        found += piece
    raise OSError(f"more than {LONGEST} bytes of an answer")


def save(layout: Layout) -> None:
    """Write the states of all servers, and whether the site is closed, where a reload and the next start look for them.

    Raises: AgentError no-state-file, no-balancer.
    """
    place, switch = _named(layout.balancer_config, _STATE_FILE), _named(layout.balancer_config, _SWITCH)
    if place is None:
        raise AgentError(
            "no-state-file",
            f"{layout.balancer_config} names no server-state-file: a reload would forget who is drained",
            hint="highstate writes one that does",
        )  # fmt: skip
    states = send(layout.balancer, "show servers state")
    if not _STATES.match(states):
        raise AgentError(
            "no-balancer", "HAProxy does not say in which state its servers are", expected="# be_id be_name ...",
            got=repr(states[:80]), hint="systemctl status haproxy",
        )  # fmt: skip
    _write(layout.balancer_config.parent / place, states)
    if switch:
        said = send(layout.balancer, f"show acl {switch}").splitlines()
        entries = [found[1] for line in said if (found := _ENTRY.fullmatch(line))]
        _write(layout.balancer_config.parent / switch, "".join(f"{entry}\n" for entry in entries))


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.atomic_write(path, text.encode(), tmp=path.parent)


def _named(config: Path, pattern: str) -> str | None:
    """Find a file that HAProxy's own configuration names."""
    try:
        found = re.search(pattern, config.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except FileNotFoundError:
        return None
    return found[1] if found else None
