"""A request's conversation with the database."""

import logging
from contextlib import AbstractContextManager
from typing import Any, Self

from sqlalchemy import Connection, CursorResult, Engine, Executable

from app.database.sqlite import only_read, write_at_once

logger = logging.getLogger(__name__)


class Session:
    """A connection that is taken at the first statement, and given back, rolled back, at the end.

    Rows become entities in the repositories, so SQLAlchemy's ORM (0.2 s of every worker's start) would do nothing here.

    Each statement sees what is committed by then, on every database. SQLite would refuse to write when somebody else
    has since a transaction's first read, at once and however long it may wait: there a transaction begins with the
    first statement that writes.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.opened: Connection | None = None
        self.on_sqlite = engine.dialect.name == "sqlite"
        self.writing = False
        self.lasts = False
        """Whether something that was written is there for good, or may be: a commit may fail after it was done."""
        self.held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The connection, for what ``execute`` can't do; taken from the pool if there is none yet. It may write."""
        return self._open(writing=True)

    @property
    def reader(self) -> Connection:
        """The connection, for reading what ``execute`` can't; on SQLite nobody waits for it."""
        return self._open(writing=False)

    def _open(self, *, writing: bool) -> Connection:
        if self.opened is None:
            self.opened = self.engine.connect()
            if self.on_sqlite:
                only_read(self.opened)
        if writing and not self.writing:
            if self.on_sqlite:
                write_at_once(self.opened)
            self.writing = True
        return self.opened

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Execute a statement, in the transaction that the first one began."""
        return self._open(writing=writes(statement)).execute(statement, parameters)

    def savepoint(self) -> AbstractContextManager[object]:
        """Return a context whose statements are undone, and no others, if it fails."""
        return self.connection.begin_nested()

    def commit(self) -> None:
        """Make it last; the next statement begins a new transaction. Between ``hold`` and ``let_go``: not yet."""
        if self.opened is not None and not self.held:
            self.lasts = self.lasts or self.writing
            self.opened.commit()
            self.writing = False

    def hold(self) -> None:
        """Put commits off: what is done until ``let_go`` lasts together with the commit after it, or not at all."""
        self.held = True

    def let_go(self) -> None:
        """Let commits be commits again."""
        self.held = False

    def rollback(self) -> None:
        """Undo what was not committed; the next statement begins a new transaction."""
        if self.opened is not None:
            self.opened.rollback()
            self.writing = False

    def close(self) -> None:
        """Undo what was not committed and give the connection back."""
        if self.opened is not None:
            if self.on_sqlite and not self.opened.invalidated:
                only_read(self.opened, wanted=False)
            self.opened.close()
            self.opened = None
            self.writing = False


def writes(statement: Executable) -> bool:
    """Say whether a statement changes rows, or keeps others from changing those that it reads."""
    return statement.is_dml or getattr(statement, "_for_update_arg", None) is not None
