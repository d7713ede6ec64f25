"""Where API tokens are kept: the port, its adapter on the database, and its twin in memory."""

import logging
from datetime import datetime
from typing import Protocol

from sqlalchemy import delete, insert, select

from app.auth.models import ApiToken
from app.auth.tables import tokens
from app.database.session import Session

logger = logging.getLogger(__name__)


class TokenRepository(Protocol):
    """Keeps API tokens."""

    def add(self, token: ApiToken) -> None:
        """Add a token."""
        ...

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        ...

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        ...


class SqlTokenRepository:
    """API tokens in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, token: ApiToken) -> None:
        """Add a token."""
        row = {
            "user_id": token.user_id,
            "name": token.name,
            "digest": token.digest,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        self.session.execute(insert(tokens).values(row))

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        row = self.session.execute(select(tokens).where(tokens.c.digest == digest)).one_or_none()
        if row is None:
            return None
        return ApiToken(row.user_id, row.name, row.digest, row.created_at, row.expires_at)

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        return self.session.execute(delete(tokens).where(tokens.c.expires_at <= now)).rowcount


class InMemoryTokenRepository:
    """API tokens in a dictionary."""

    def __init__(self) -> None:
        self.tokens: dict[str, ApiToken] = {}

    def add(self, token: ApiToken) -> None:
        """Add a token."""
        self.tokens[token.digest] = token

    def by_digest(self, digest: str) -> ApiToken | None:
        """Return a token, expired or not, or None."""
        return self.tokens.get(digest)

    def remove_expired(self, now: datetime) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        expired = [digest for digest, token in self.tokens.items() if token.expires_at <= now]
        for digest in expired:
            del self.tokens[digest]
        return len(expired)
