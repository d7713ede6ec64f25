"""Speak to systemd: commands and properties, never what is meant for people."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.agent.errors import AgentError
from deploy.agent.generations import PATH

ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}
PATIENCE = 60  # seconds that one call may take; those that could take longer are made with --no-block
PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Job", "MainPID", "NRestarts", "ExecMainStartTimestampMonotonic",
    "Listen",
)  # fmt: skip


class Unit(NamedTuple):
    """What systemd says of a unit."""

    properties: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.properties.get("Id", "")

    @property
    def loaded(self) -> bool:
        return self.properties.get("LoadState") == "loaded"

    @property
    def active(self) -> bool:
        return self.properties.get("ActiveState") == "active"

    @property
    def failed(self) -> bool:
        return self.properties.get("ActiveState") == "failed"

    @property
    def leaving(self) -> bool:
        return self.properties.get("ActiveState") == "deactivating"

    @property
    def living(self) -> bool:
        """Whether processes of it may live, or systemd is about to start some."""
        return self.properties.get("ActiveState") in ("active", "activating", "reloading", "deactivating")

    @property
    def queued(self) -> bool:
        """Whether systemd has yet to do something with it that was asked for."""
        return self.properties.get("Job", "0") not in ("", "0")

    @property
    def restarts(self) -> int:
        return int(self.properties.get("NRestarts") or 0)

    @property
    def restarting(self) -> bool:
        return self.properties.get("SubState") == "auto-restart"

    @property
    def pid(self) -> int:
        return int(self.properties.get("MainPID") or 0)

    @property
    def since(self) -> float:
        """When its main process started, in seconds since the epoch."""
        microseconds = int(self.properties.get("ExecMainStartTimestampMonotonic") or 0)
        return round(booted() + microseconds / 1e6, 3)

    @property
    def address(self) -> str | None:
        """What a socket listens on: `127.0.0.1:8000 (Stream)` is systemd's way to say it."""
        return self.properties.get("Listen", "").partition(" ")[0] or None


def booted() -> float:
    """Tell when this machine was started; the same answer each time, unlike the difference of two clocks."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def show(*patterns: str) -> dict[str, Unit]:
    """Look at units by name or pattern, all in one call; patterns find what is loaded."""
    text = call("show", f"--property={','.join(PROPERTIES)}", *patterns)
    units = [Unit(parse(block)) for block in text.split("\n\n") if block.strip()]
    return {unit.id: unit for unit in units}


def parse(block: str) -> dict[str, str]:
    """Understand one unit's `key=value` lines; of several with one key the first counts."""
    found: dict[str, str] = {}
    for line in block.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found.setdefault(key, value)
    return found


def call(*words: str, check: bool = True) -> str:
    """Run systemctl.

    Raises: AgentError systemd, with what it said.
    """
    return run(["systemctl", "--no-pager", "--no-ask-password", *words], check=check)


def run(command: Sequence[str], *, check: bool = True) -> str:
    """Run a program of systemd's.

    Raises: AgentError systemd, with what it said.
    """
    shown = " ".join(command[:4])
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, timeout=PATIENCE, check=False
        )
    except FileNotFoundError:
        raise AgentError(
            "systemd", f"{command[0]} is not on this host", hint="--name is for servers; without systemd use --root"
        ) from None
    except subprocess.TimeoutExpired:
        raise AgentError("systemd", f"`{shown}` did not end within {PATIENCE} s", hint="systemctl list-jobs") from None
    if check and done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise AgentError(
            "systemd", f"`{shown}` failed: {said or 'it did not say why'}", expected="exit status 0",
            got=f"exit status {done.returncode}", hint="systemctl status says more",
        )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")
