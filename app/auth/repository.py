"""Where API tokens are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, delete, insert, select

from app.auth.models import ApiToken
from app.auth.tables import tokens
from app.database.session import Session
from app.scopes import Scope

logger = logging.getLogger(__name__)


class TokenRepository(Protocol):
    """Keeps API tokens."""

    def add(self, token: ApiToken) -> ApiToken:
        """Add a token, and return it with its id."""
        ...

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        ...

    def of(self, user_id: int, now: datetime) -> list[ApiToken]:
        """Return a user's tokens that have not expired, in the order in which they were issued."""
        ...

    def remove(self, user_id: int, token_id: int) -> bool:
        """Remove a token of a user, and say whether there was one."""
        ...

    def remove_all(self, user_id: int) -> int:
        """Remove every token of a user, and return how many."""
        ...

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        ...


class SqlTokenRepository:
    """API tokens in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, token: ApiToken) -> ApiToken:
        """Add a token, and return it with its id."""
        row = {
            "user_id": token.user_id,
            "name": token.name,
            "digest": token.digest,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "scopes": " ".join(sorted(token.scopes)),
        }
        token_id = self.session.execute(insert(tokens).values(row).returning(tokens.c.id)).scalar_one()
        return dataclasses.replace(token, id=token_id)

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        row = self.session.execute(select(tokens).where(tokens.c.digest == digest)).one_or_none()
        return None if row is None else _token(row)

    def of(self, user_id: int, now: datetime) -> list[ApiToken]:
        """Return a user's tokens that have not expired, in the order in which they were issued."""
        mine = select(tokens).where(tokens.c.user_id == user_id, tokens.c.expires_at > now)
        return [_token(row) for row in self.session.execute(mine.order_by(tokens.c.id)).all()]

    def remove(self, user_id: int, token_id: int) -> bool:
        """Remove a token of a user, and say whether there was one."""
        mine = (tokens.c.user_id == user_id, tokens.c.id == token_id)
        return self.session.execute(delete(tokens).where(*mine)).rowcount == 1

    def remove_all(self, user_id: int) -> int:
        """Remove every token of a user, and return how many."""
        return self.session.execute(delete(tokens).where(tokens.c.user_id == user_id)).rowcount

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        return self.session.execute(delete(tokens).where(tokens.c.expires_at <= now)).rowcount


def _token(row: Row[*tuple[Any, ...]]) -> ApiToken:
    scopes = frozenset(Scope(name) for name in row.scopes.split())
    return ApiToken(row.user_id, row.name, row.digest, row.created_at, row.expires_at, scopes, row.id)


class InMemoryTokenRepository:
    """API tokens in a dictionary."""

    def __init__(self) -> None:
        self.tokens: dict[str, ApiToken] = {}
        self.added = 0

    def add(self, token: ApiToken) -> ApiToken:
        """Add a token, and return it with its id."""
        self.added += 1
        kept = dataclasses.replace(token, id=self.added)
        self.tokens[token.digest] = kept
        return kept

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        return self.tokens.get(digest)

    def of(self, user_id: int, now: datetime) -> list[ApiToken]:
        """Return a user's tokens that have not expired, in the order in which they were issued."""
        return [token for token in self.tokens.values() if token.user_id == user_id and token.expires_at > now]

    def remove(self, user_id: int, token_id: int) -> bool:
        """Remove a token of a user, and say whether there was one."""
        return self._remove(lambda token: token.user_id == user_id and token.id == token_id) == 1

    def remove_all(self, user_id: int) -> int:
        """Remove every token of a user, and return how many."""
        return self._remove(lambda token: token.user_id == user_id)

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        return self._remove(lambda token: token.expires_at <= now)

    def _remove(self, unwanted: Callable[[ApiToken], bool]) -> int:
        gone = [digest for digest, token in self.tokens.items() if unwanted(token)]
        for digest in gone:
            del self.tokens[digest]
        return len(gone)
