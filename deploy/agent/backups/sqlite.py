"""SQLite: its own online backup, both ways. A file that processes have open is never replaced by another."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from deploy.agent import files
from deploy.agent.backups.engine import Rows
from deploy.agent.errors import AgentError

ASIDE = ".before"
BUSY = 60.0  # seconds to wait for another writer


class Sqlite:
    """A database in a file."""

    kind = "sqlite"

    def __init__(self, database: str, scratch: Path) -> None:
        self.database = database
        self.scratch = scratch

    def dump(self, into: Path) -> Rows:
        """Copy it page by page, while others read and write; what is counted is the same moment."""
        if not Path(self.database).is_file():
            raise AgentError("no-database", f"{self.database}: there is no such file", expected="a database")
        os.close(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with self._opened(self.database) as source, self._opened(str(into), "rw") as target:
            source.execute("BEGIN")
            rows = _count(source)
            source.backup(target)
            source.execute("ROLLBACK")
            target.execute("PRAGMA journal_mode = DELETE")  # one file, that needs nothing beside it
        return rows

    def room(self) -> tuple[int, int]:
        """Say how many bytes it has, and how many are free where copies are made."""
        size = sum(os.path.getsize(path) for path in (self.database, f"{self.database}-wal") if os.path.exists(path))
        found = os.statvfs(self.scratch)
        return size, found.f_bavail * found.f_frsize

    def load(self, backup: Path, identifier: str) -> str:
        """Copy a backup, and let SQLite read every page of it."""
        path = self.scratch / f"{identifier}.scratch"
        files.remove(path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with self._opened(str(backup)) as source, self._opened(str(path), "rw") as target:
            source.backup(target)
            wrong = [*target.execute("PRAGMA integrity_check(3)"), *target.execute("PRAGMA foreign_key_check")]
        if wrong != [("ok",)]:
            raise AgentError("backup-differs", f"backup {identifier} is damaged: {'; '.join(map(str, wrong[:3]))}")
        return str(path)

    def count(self, name: str) -> Rows:
        """Count what a file has."""
        with self._opened(name) as connection:
            return _count(connection)

    def drop(self, name: str) -> None:
        """Remove a copy."""
        for ending in ("", "-wal", "-shm", "-journal"):
            files.remove(Path(name + ending))

    def switch(self, name: str, identifier: str) -> str:
        """Write it over the database in use, in one transaction: processes go on with the file that they have."""
        aside = self._set_aside(identifier)
        with self._opened(name) as source, self._opened(self.database, "rwc") as target:
            source.backup(target)
        return aside

    def _set_aside(self, identifier: str) -> str:
        """Keep what is in use, whole or damaged, and nothing of earlier restores."""
        path = self.scratch / f"{identifier}{ASIDE}"
        for left in self.scratch.glob(f"*{ASIDE}"):
            files.remove(left)
        if not os.path.exists(self.database):
            return ""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with self._opened(self.database) as source, self._opened(str(path), "rw") as target:
                source.backup(target)
        except AgentError:  # SQLite can't read it, but a person may
            shutil.copyfile(self.database, path)
        return str(path)

    @contextlib.contextmanager
    def _opened(self, path: str, mode: str = "ro") -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(
                f"file:{quote(path)}?mode={mode}", uri=True, timeout=BUSY, isolation_level=None
            )
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise AgentError("database-failed", f"{path}: {error}") from None


def _count(connection: sqlite3.Connection) -> Rows:
    found = {}
    listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    for (name,) in connection.execute(listed).fetchall():
        quoted = name.replace('"', '""')
        found[name] = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0]  # noqa: S608  a name of its own
    for kind in ("index", "view", "trigger"):
        counted = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = ?", (kind,)).fetchone()[0]
        if counted:
            found[f"({kind})"] = counted
    return found
