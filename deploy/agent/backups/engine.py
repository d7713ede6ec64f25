"""What a kind of database has to be able to do, so that it can be backed up and restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from deploy.agent.errors import AgentError

Rows = dict[str, int]  # what was counted: rows of each table, indexes, constraints
Say = Callable[[str], None]


class Engine(Protocol):
    """One database, by the programs or the library that it comes with."""

    kind: str
    database: str

    def dump(self, into: Path) -> Rows:
        """Write its contents of one moment into a new file; answer what was counted at that moment."""

    def room(self) -> tuple[int, int]:
        """Say how many bytes it has, and how many are free where it lies."""

    def load(self, backup: Path, identifier: str) -> str:
        """Make a new database of a backup, which nobody uses; answer its name."""

    def count(self, name: str) -> Rows:
        """Count what a database has."""

    def drop(self, name: str) -> None:
        """Remove a database that `load` has made."""

    def switch(self, name: str, identifier: str) -> str:
        """Put a database that `load` has made in the place of the one in use; answer where that one is kept."""


def require_same(found: Rows, wanted: Rows, identifier: str) -> None:
    """Refuse a restored database that does not have what was counted.

    Raises: AgentError backup-differs.
    """
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if names:
        shown = ", ".join(f"{name}: {found.get(name, 'none')}, not {wanted.get(name, 'none')}" for name in names[:5])
        raise AgentError(
            "backup-differs", f"backup {identifier}, restored to see whether it can be, is not the database: {shown}"
        )
