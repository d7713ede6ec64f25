"""Where sessions are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, delete, insert, select, update

from app.auth.models import Client, Session
from app.auth.tables import sessions
from app.database.session import Session as DatabaseSession

logger = logging.getLogger(__name__)


class SessionRepository(Protocol):
    """Keeps sessions."""

    def add(self, session: Session) -> Session:
        """Add a session, and return it with its id."""
        ...

    def by_digest(self, digest: str) -> Session | None:
        """Return a session, expired or not, or None."""
        ...

    def of(self, user_id: int, now: datetime) -> list[Session]:
        """Return a user's sessions that have not expired, the one that was seen last first."""
        ...

    def touch(self, session_id: int, seen_at: datetime) -> None:
        """Note when a session was last used."""
        ...

    def renew(self, session_id: int, digest: str) -> bool:
        """Give a session another secret; say whether it was still there."""
        ...

    def remove(self, user_id: int, session_id: int) -> bool:
        """End a session of a user, and say whether there was one."""
        ...

    def remove_by_digest(self, digest: str) -> None:
        """End a session."""
        ...

    def remove_all(self, user_id: int, but: int | None = None) -> int:
        """End every session of a user, or every other one, and return how many."""
        ...

    def remove_expired(self, now: datetime) -> int:
        """Remove sessions that are not valid any more, and return how many."""
        ...


class SqlSessionRepository:
    """Sessions in the database."""

    def __init__(self, session: DatabaseSession) -> None:
        self.session = session

    def add(self, session: Session) -> Session:
        """Add a session, and return it with its id."""
        row = {
            "user_id": session.user_id,
            "digest": session.digest,
            "address": session.client.address,
            "user_agent": session.client.user_agent,
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "expires_at": session.expires_at,
        }
        session_id = self.session.execute(insert(sessions).values(row).returning(sessions.c.id)).scalar_one()
        return dataclasses.replace(session, id=session_id)

    def by_digest(self, digest: str) -> Session | None:
        """Return a session, expired or not, or None."""
        row = self.session.execute(select(sessions).where(sessions.c.digest == digest)).one_or_none()
        return None if row is None else _session(row)

    def of(self, user_id: int, now: datetime) -> list[Session]:
        """Return a user's sessions that have not expired, the one that was seen last first."""
        mine = select(sessions).where(sessions.c.user_id == user_id, sessions.c.expires_at > now)
        ordered = mine.order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc())
        return [_session(row) for row in self.session.execute(ordered).all()]

    def touch(self, session_id: int, seen_at: datetime) -> None:
        """Note when a session was last used."""
        self.session.execute(update(sessions).where(sessions.c.id == session_id).values(last_seen_at=seen_at))

    def renew(self, session_id: int, digest: str) -> bool:
        """Give a session another secret; say whether it was still there."""
        changed = self.session.execute(update(sessions).where(sessions.c.id == session_id).values(digest=digest))
        return changed.rowcount == 1

    def remove(self, user_id: int, session_id: int) -> bool:
        """End a session of a user, and say whether there was one."""
        mine = (sessions.c.user_id == user_id, sessions.c.id == session_id)
        return self.session.execute(delete(sessions).where(*mine)).rowcount == 1

    def remove_by_digest(self, digest: str) -> None:
        """End a session."""
        self.session.execute(delete(sessions).where(sessions.c.digest == digest))

    def remove_all(self, user_id: int, but: int | None = None) -> int:
        """End every session of a user, or every other one, and return how many."""
        theirs = delete(sessions).where(sessions.c.user_id == user_id)
        if but is not None:
            theirs = theirs.where(sessions.c.id != but)
        return self.session.execute(theirs).rowcount

    def remove_expired(self, now: datetime) -> int:
        """Remove sessions that are not valid any more, and return how many."""
        return self.session.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount


def _session(row: Row[*tuple[Any, ...]]) -> Session:
    return Session(
        row.user_id,
        row.digest,
        Client(row.address, row.user_agent),
        row.created_at,
        row.last_seen_at,
        row.expires_at,
        row.id,
    )


class InMemorySessionRepository:
    """Sessions in a dictionary."""

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.added = 0

    def add(self, session: Session) -> Session:
        """Add a session, and return it with its id."""
        self.added += 1
        kept = dataclasses.replace(session, id=self.added)
        self.sessions[kept.id] = kept
        return kept

    def by_digest(self, digest: str) -> Session | None:
        """Return a session, expired or not, or None."""
        return next((session for session in self.sessions.values() if session.digest == digest), None)

    def of(self, user_id: int, now: datetime) -> list[Session]:
        """Return a user's sessions that have not expired, the one that was seen last first."""
        mine = [one for one in self.sessions.values() if one.user_id == user_id and one.expires_at > now]
        return sorted(mine, key=lambda session: (session.last_seen_at, session.id), reverse=True)

    def touch(self, session_id: int, seen_at: datetime) -> None:
        """Note when a session was last used."""
        if session_id in self.sessions:
            self.sessions[session_id] = dataclasses.replace(self.sessions[session_id], last_seen_at=seen_at)

    def renew(self, session_id: int, digest: str) -> bool:
        """Give a session another secret; say whether it was still there."""
        if session_id not in self.sessions:
            return False
        self.sessions[session_id] = dataclasses.replace(self.sessions[session_id], digest=digest)
        return True

    def remove(self, user_id: int, session_id: int) -> bool:
        """End a session of a user, and say whether there was one."""
        return self._remove(lambda session: session.user_id == user_id and session.id == session_id) == 1

    def remove_by_digest(self, digest: str) -> None:
        """End a session."""
        self._remove(lambda session: session.digest == digest)

    def remove_all(self, user_id: int, but: int | None = None) -> int:
        """End every session of a user, or every other one, and return how many."""
        return self._remove(lambda session: session.user_id == user_id and session.id != but)

    def remove_expired(self, now: datetime) -> int:
        """Remove sessions that are not valid any more, and return how many."""
        return self._remove(lambda session: session.expires_at <= now)

    def _remove(self, unwanted: Callable[[Session], bool]) -> int:
        gone = [session.id for session in self.sessions.values() if unwanted(session)]
        for session_id in gone:
            del self.sessions[session_id]
        return len(gone)
