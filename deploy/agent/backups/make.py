"""Make a backup, and prove it by restoring it; restore one into a new database, and switch to that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.agent import files
from deploy.agent.backups import kept, own
from deploy.agent.backups.engine import Engine, Say, require_same
from deploy.agent.backups.kept import Backup
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

SPARE = 1.2  # a copy is made of it, and what is written meanwhile needs room as well


def engine_of(layout: Layout, kind: str, database: str) -> Engine:
    """Choose how a kind of database is backed up; `database` is its name, or its file.

    Raises: AgentError not-ours, database-failed.
    """
    if kind == "sqlite":
        from deploy.agent.backups.sqlite import Sqlite

        own.require_file(layout, database)
        return Sqlite(database, kept.folder(layout))
    from deploy.agent.backups.postgresql import Postgresql

    own.require_name(database)
    engine = Postgresql(database)
    own.require_owner(layout, database, engine.owner())
    return engine


def backup(layout: Layout, engine: Engine, keep: int, about: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Back a database up; it counts when a scratch database that was restored from it has the same rows.

    Raises: AgentError no-room, database-failed, backup-differs.
    """
    began = time.monotonic()
    size = _require_room(engine)
    identifier = kept.new(layout)
    path = kept.path_of(layout, identifier)
    try:
        say(f"dumping {engine.database}")
        rows = engine.dump(path)
        say(f"restoring backup {identifier} into a scratch database")
        with _loaded(engine, path, identifier, rows):
            pass
    except BaseException:
        files.remove(path)
        raise
    made = Backup(
        identifier, engine.kind, engine.database, path.stat().st_size, kept.digest(path), rows, about,
        round(time.monotonic() - began, 3),
    )  # fmt: skip
    kept.finish(layout, made)
    return {**made.facts(), "path": str(path), "size": size, "removed": kept.prune(layout, keep)}


def restore(layout: Layout, engine: Engine, identifier: str, say: Say) -> dict[str, Any]:
    """Restore a backup into a new database, see that it has what was counted, and switch to it.

    What was in use until then is kept, until the next restore.

    Raises: AgentError no-backup, other-database, damaged-backup, no-room, database-failed, backup-differs, busy.
    """
    began = time.monotonic()
    chosen = kept.load(layout, identifier)
    if (chosen.engine, chosen.database) != (engine.kind, engine.database):
        raise AgentError(
            "other-database", f"backup {chosen.identifier} is of another database", expected=engine.database,
            got=f"{chosen.database} ({chosen.engine})",
        )  # fmt: skip
    path = kept.whole(layout, chosen)
    _require_room(engine)
    say(f"restoring backup {chosen.identifier} into a new database")
    with _loaded(engine, path, chosen.identifier, chosen.rows) as name:
        say("switching to it")
        before = engine.switch(name, chosen.identifier)
    return {**chosen.facts(), "before": before, "seconds": round(time.monotonic() - began, 3)}


@contextmanager
def _loaded(engine: Engine, path: Path, identifier: str, rows: Mapping[str, int]) -> Iterator[str]:
    """Restore into a database of its own, which is gone in the end, unless it was switched to."""
    name = ""
    try:
        name = engine.load(path, identifier)
        require_same(engine.count(name), dict(rows), identifier)
        yield name
    finally:
        if name:
            engine.drop(name)


def _require_room(engine: Engine) -> int:
    size, free = engine.room()
    if free < size * SPARE:
        raise AgentError(
            "no-room", f"{engine.database} has {size:,} bytes, and a copy of it has to fit beside it",
            expected=f"{int(size * SPARE):,} bytes free", got=f"{free:,}",
        )  # fmt: skip
    return size
