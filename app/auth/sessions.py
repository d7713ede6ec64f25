"""Use cases: log in and out of a browser, recognise it at each request, see and end one's other sessions."""

import dataclasses
import logging
import secrets
from datetime import timedelta

from app.auth.credentials import Credentials
from app.auth.models import Client, IssuedSession, Session, SignedIn
from app.auth.session_repository import SessionRepository
from app.auth.utils import digest_of
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotAuthenticated, NotFound
from app.settings import Settings
from app.users.models import User
from app.users.repository import UserRepository

logger = logging.getLogger(__name__)

SEEN_EVERY = timedelta(minutes=5)
"""How exactly it is known when a session was last used: not every request should write."""

LONGEST_ADDRESS, LONGEST_USER_AGENT = 45, 200


class Sessions:
    """Signs browsers in, and knows whose they are.

    A log-in always makes a new secret, so nobody can plant one in a browser and wait until its owner logs in.
    """

    def __init__(
        self,
        users: UserRepository,
        sessions: SessionRepository,
        transaction: Transaction,
        credentials: Credentials,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.users = users
        self.sessions = sessions
        self.transaction = transaction
        self.credentials = credentials
        self.clock = clock
        self.settings = settings

    def log_in(
        self, email: str, password: str, client: Client, code: str | None = None, *, previous: str | None = None
    ) -> IssuedSession:
        """Sign in with a password, and end the session that this browser had: ``previous``, the secret it sent.

        Raises NotAuthenticated, never saying why, and SecondFactorNeeded when the password is right and no code came.
        """
        return self._open(self.credentials.check(email, password, code), client, previous)

    def log_in_with_code(self, ticket: str, code: str, client: Client, *, previous: str | None = None) -> IssuedSession:
        """Sign in with the ticket of a SecondFactorNeeded and a code. Raises NotAuthenticated."""
        return self._open(self.credentials.check_code(ticket, code), client, previous)

    def authenticate(self, secret: str) -> SignedIn:
        """Return who is signed in with this secret, and in which session. Raises NotAuthenticated."""
        now = self.clock.now()
        session = self.sessions.by_digest(self._digest(secret))
        user = self.users.by_id(session.user_id) if session and session.expires_at > now else None
        self.transaction.commit()  # whatever the request writes begins afresh: see Credentials
        if session is None or user is None or not user.active:
            raise NotAuthenticated("This session has ended.")
        if now - session.last_seen_at >= SEEN_EVERY:
            self.sessions.touch(session.id, now)
            self.transaction.commit()
            session = dataclasses.replace(session, last_seen_at=now)
        return SignedIn(user, session)

    def rotate(self, signed_in: SignedIn) -> IssuedSession:
        """Give a session another secret, as whenever what it may do has changed. Raises NotAuthenticated."""
        secret = secrets.token_urlsafe(32)
        if not self.sessions.renew(signed_in.session.id, self._digest(secret)):
            raise NotAuthenticated("This session has ended.")
        self.transaction.commit()
        return IssuedSession(secret, signed_in.session.expires_at, signed_in.user)

    def log_out(self, secret: str) -> None:
        """End the session with this secret, if there is one."""
        self.sessions.remove_by_digest(self._digest(secret))
        self.transaction.commit()

    def of(self, user: User) -> list[Session]:
        """Return a user's sessions, the one that was seen last first."""
        return self.sessions.of(user.id, self.clock.now())

    def revoke(self, user: User, session_id: int) -> None:
        """End one of a user's sessions. Raises NotFound, also for somebody else's."""
        if not self.sessions.remove(user.id, session_id):
            raise NotFound(f"You have no session with the id {session_id}.")
        self.transaction.commit()
        logger.info("session revoked", extra={"session_id": session_id})

    def revoke_others(self, signed_in: SignedIn) -> int:
        """End every other session of a user, and return how many."""
        ended = self.sessions.remove_all(signed_in.user.id, but=signed_in.session.id)
        self.transaction.commit()
        return ended

    def remove_expired(self) -> int:
        """Remove sessions that are not valid any more, and return how many."""
        removed = self.sessions.remove_expired(self.clock.now())
        self.transaction.commit()
        return removed

    def _open(self, user: User, client: Client, previous: str | None) -> IssuedSession:
        secret, now = secrets.token_urlsafe(32), self.clock.now()
        expires_at = now + timedelta(days=self.settings.session_days)
        shown = Client(client.address[:LONGEST_ADDRESS], client.user_agent[:LONGEST_USER_AGENT])
        self.users.note_log_in(user.id, now)  # first: on MariaDB two that add would hold what both change then
        session = self.sessions.add(Session(user.id, self._digest(secret), shown, now, now, expires_at))
        if previous:
            self.sessions.remove_by_digest(self._digest(previous))
        self.transaction.commit()
        logger.info("logged in", extra={"session_user_id": user.id, "session_id": session.id})
        return IssuedSession(secret, expires_at, dataclasses.replace(user, last_login_at=now))

    def _digest(self, secret: str) -> str:
        return digest_of(secret, self.settings.secret_key.get_secret_value())
