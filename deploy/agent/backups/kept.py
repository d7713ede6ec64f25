"""Which backups are there: a file each, and beside it what is known of it. Only root may read either."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.agent import files
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

IDENTIFIER = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[0-9]+)?")
LATEST = "latest"
ABOUT = ".json"  # written last: a backup without it was never finished


@dataclass(frozen=True)
class Backup:
    """A finished backup; `rows` has what was counted in the database at the moment that it shows."""

    identifier: str
    engine: str
    database: str
    bytes: int
    sha256: str
    rows: Mapping[str, int]
    about: Mapping[str, Any]  # what the operator's side knows: why it was made, which migrations the database had
    seconds: float

    def facts(self) -> dict[str, Any]:
        """Say what is known of it."""
        return {**self.__dict__, "rows": dict(self.rows), "about": dict(self.about)}


def folder(layout: Layout) -> Path:
    """Locate the backups, and make their directory."""
    path = layout.backups
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def new(layout: Layout) -> str:
    """Name a backup that begins now, and clear away what a killed agent has left of others."""
    place, stamp = folder(layout), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in place.iterdir():
        if path.suffix in (".dump", ".scratch") and not path.with_suffix(ABOUT).exists():
            files.remove(path)
    taken = {path.stem for path in place.iterdir()}
    return next(name for name in (stamp, *(f"{stamp}-{n}" for n in range(2, 1000))) if name not in taken)


def path_of(layout: Layout, identifier: str) -> Path:
    """Locate a backup's file."""
    return layout.backups / f"{identifier}.dump"


def finish(layout: Layout, backup: Backup) -> None:
    """Let a backup count whose file is written and proven."""
    with path_of(layout, backup.identifier).open("rb") as file:
        os.fsync(file.fileno())
    text = json.dumps(backup.facts(), indent=1, sort_keys=True).encode()
    files.atomic_write(_about(layout, backup.identifier), text, tmp=layout.backups, mode=0o600)


def every(layout: Layout) -> list[Backup]:
    """Give the finished backups, newest first."""
    try:
        names = [path.stem for path in layout.backups.iterdir() if path.suffix == ABOUT]
    except FileNotFoundError:
        return []
    found = [_read(layout, name) for name in sorted(filter(IDENTIFIER.fullmatch, names), key=_age, reverse=True)]
    return [backup for backup in found if backup]


def load(layout: Layout, identifier: str) -> Backup:
    """Give a finished backup, or the latest.

    Raises: AgentError no-backup.
    """
    if identifier == LATEST:
        found = every(layout)
        if found:
            return found[0]
    elif IDENTIFIER.fullmatch(identifier) and (one := _read(layout, identifier)):
        return one
    known = ", ".join(backup.identifier for backup in every(layout)) or "none"
    raise AgentError("no-backup", f"there is no backup {identifier} here", expected=f"one of: {known}")


def _read(layout: Layout, identifier: str) -> Backup | None:
    """Understand what is known of a backup; what is damaged counts as if it had never been finished."""
    try:
        found = Backup(**json.loads(_about(layout, identifier).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    tables = isinstance(found.rows, dict) and isinstance(found.about, dict)
    return found if tables and found.identifier == identifier else None


def whole(layout: Layout, backup: Backup) -> Path:
    """Give the file of a backup, if it has the bytes that were written.

    Raises: AgentError damaged-backup.
    """
    path = path_of(layout, backup.identifier)
    if not path.exists() or digest(path) != backup.sha256:
        raise AgentError(
            "damaged-backup", f"{path} is not what was written: its bytes have changed", hint="take another backup"
        )
    return path


def digest(path: Path) -> str:
    """Hash a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def prune(layout: Layout, keep: int) -> list[str]:
    """Remove all but the newest."""
    gone = [backup.identifier for backup in every(layout)[keep:]]
    for identifier in gone:
        files.remove(_about(layout, identifier))  # first: what is left of a killed agent is no backup then
        files.remove(path_of(layout, identifier))
    return gone


def _about(layout: Layout, identifier: str) -> Path:
    return layout.backups / f"{identifier}{ABOUT}"


def _age(identifier: str) -> tuple[str, int]:
    stamp, _, number = identifier.partition("-")
    return stamp, int(number or 1)
