"""Use cases: exchange a password for an API token, and recognise its owner."""

import logging
from datetime import timedelta

from app.auth.credentials import Credentials
from app.auth.models import DEFAULT_SCOPES, ApiToken, IssuedToken
from app.auth.repository import TokenRepository
from app.auth.utils import digest_of, new_token
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotAllowed, NotAuthenticated, NotFound
from app.scopes import Scope
from app.settings import Settings
from app.users.models import User
from app.users.repository import UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)


class Tokens:
    """Issues API tokens and knows whose they are."""

    def __init__(
        self,
        users: UserRepository,
        tokens: TokenRepository,
        transaction: Transaction,
        credentials: Credentials,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.users = users
        self.tokens = tokens
        self.transaction = transaction
        self.credentials = credentials
        self.clock = clock
        self.settings = settings

    def log_in(
        self,
        email: str,
        password: str,
        name: str,
        code: str | None = None,
        *,
        scopes: frozenset[Scope] = DEFAULT_SCOPES,
        days: int | None = None,
    ) -> IssuedToken:
        """Return a new token for the user with this password. Raises NotAuthenticated, never saying why."""
        return self._issue(self.credentials.check(email, password, code), name, scopes, days)

    def issue(
        self, email: str, name: str, *, scopes: frozenset[Scope] = DEFAULT_SCOPES, days: int | None = None
    ) -> IssuedToken:
        """Return a new token for a user, as an operator may. Raises NotFound, and ValueError for no e-mail address."""
        user = self.users.by_email(normalise_email(email))
        self.transaction.commit()
        if user is None:
            raise NotFound("There is no user with this e-mail address.")
        return self._issue(user, name, scopes, days)

    def issue_to(
        self, user: User, name: str, *, scopes: frozenset[Scope] = DEFAULT_SCOPES, days: int | None = None
    ) -> IssuedToken:
        """Return a new token for somebody who is signed in. Raises NotAllowed for a scope that they can't use."""
        return self._issue(user, name, scopes, days)

    def of(self, user: User) -> list[ApiToken]:
        """Return a user's tokens, in the order in which they were issued."""
        return self.tokens.of(user.id, self.clock.now())

    def revoke(self, user: User, token_id: int) -> None:
        """Make a token of a user useless. Raises NotFound, also for somebody else's."""
        if not self.tokens.remove(user.id, token_id):
            raise NotFound(f"You have no API token with the id {token_id}.")
        self.transaction.commit()
        logger.info("token revoked", extra={"token_id": token_id})

    def authenticate(self, token: str, scope: Scope) -> User:
        """Return the owner of a token. Raises NotAuthenticated, and NotAllowed for a token that is not for this."""
        known = self.tokens.by_digest(digest_of(token, self._key()))
        user = self.users.by_id(known.user_id) if known and known.expires_at > self.clock.now() else None
        self.transaction.commit()  # whatever the request writes begins afresh: see Credentials
        if user is None or not user.active:
            raise NotAuthenticated("This API token is not valid, or not any more.")
        if known is None or scope not in known.scopes:
            raise NotAllowed(f"This API token is not for this: it lacks the scope {scope.value!r}.")
        return user

    def remove_expired(self) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        removed = self.tokens.remove_expired(self.clock.now())
        self.transaction.commit()
        return removed

    def _issue(self, user: User, name: str, scopes: frozenset[Scope], days: int | None) -> IssuedToken:
        if Scope.ADMIN in scopes and not user.admin:
            raise NotAllowed("Only admins may have an API token with the scope 'admin'.")
        secret, now = new_token(), self.clock.now()
        longest = self.settings.api_token_days
        expires_at = now + timedelta(days=min(days or longest, longest))
        self.users.note_log_in(user.id, now)  # first: on MariaDB two that add would hold what both change then
        token = self.tokens.add(ApiToken(user.id, name, digest_of(secret, self._key()), now, expires_at, scopes))
        self.transaction.commit()
        logger.info("token issued", extra={"token_user_id": user.id, "token_id": token.id})
        return IssuedToken(secret, expires_at, scopes)

    def _key(self) -> str:
        return self.settings.secret_key.get_secret_value()
