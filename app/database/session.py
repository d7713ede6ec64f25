"""A request's conversation with the database."""

import logging
from contextlib import AbstractContextManager
from typing import Any, Self

from sqlalchemy import Connection, CursorResult, Engine, Executable

logger = logging.getLogger(__name__)


class Session:
    """A connection that is taken at the first statement, and given back, rolled back, at the end.

    Rows become entities in the repositories, so SQLAlchemy's ORM (0.2 s of every worker's start) would do nothing here.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.opened: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The connection; taken from the pool if there is none yet."""
        if self.opened is None:
            self.opened = self.engine.connect()
        return self.opened

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Execute a statement, in the transaction that the first one began."""
        return self.connection.execute(statement, parameters)

    def savepoint(self) -> AbstractContextManager[object]:
        """Return a context whose statements are undone, and no others, if it fails."""
        return self.connection.begin_nested()

    def commit(self) -> None:
        """Make it last; the next statement begins a new transaction."""
        if self.opened is not None:
            self.opened.commit()

    def close(self) -> None:
        """Undo what was not committed and give the connection back."""
        if self.opened is not None:
            self.opened.close()
            self.opened = None
