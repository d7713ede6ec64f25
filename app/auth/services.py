"""Use cases: exchange a password for an API token, and recognise its owner."""

import logging
from datetime import timedelta

from app.auth.models import ApiToken, IssuedToken
from app.auth.passwords import PasswordHasher
from app.auth.repository import TokenRepository
from app.auth.utils import digest_of, new_token
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotAuthenticated, NotFound
from app.settings import Settings
from app.users.models import User
from app.users.repository import UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)

REFUSED = "This e-mail address and this password don't belong together."
"""One answer for an unknown address, a wrong password and a deactivated user."""


class Tokens:
    """Issues API tokens and knows whose they are."""

    def __init__(
        self,
        users: UserRepository,
        tokens: TokenRepository,
        transaction: Transaction,
        hasher: PasswordHasher,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.users = users
        self.tokens = tokens
        self.transaction = transaction
        self.hasher = hasher
        self.clock = clock
        self.settings = settings

    def log_in(self, email: str, password: str, name: str) -> IssuedToken:
        """Return a new token for the user with this password. Raises NotAuthenticated, never saying why."""
        try:
            user = self.users.by_email(normalise_email(email))
        except ValueError:
            user = None
        # Ends the reading transaction: none is open while the password is checked, and writing starts afresh.
        # (SQLite refuses a writer that began by reading if somebody else has written since.)
        self.transaction.commit()
        right = self.hasher.matches(user.password_hash if user else None, password)
        if user is None or not right or not user.active:
            logger.info("log-in refused")
            raise NotAuthenticated(REFUSED)
        return self._issue(user, name)

    def issue(self, email: str, name: str) -> IssuedToken:
        """Return a new token for a user, as an operator may. Raises NotFound, and ValueError for no e-mail address."""
        user = self.users.by_email(normalise_email(email))
        self.transaction.commit()
        if user is None:
            raise NotFound("There is no user with this e-mail address.")
        return self._issue(user, name)

    def authenticate(self, token: str) -> User:
        """Return the owner of a token. Raises NotAuthenticated."""
        known = self.tokens.by_digest(digest_of(token, self._key()))
        user = self.users.by_id(known.user_id) if known and known.expires_at > self.clock.now() else None
        if user is None or not user.active:
            raise NotAuthenticated("This API token is not valid, or not any more.")
        return user

    def remove_expired(self) -> int:
        """Remove tokens that are not valid any more, and return how many."""
        removed = self.tokens.remove_expired(self.clock.now())
        self.transaction.commit()
        return removed

    def _issue(self, user: User, name: str) -> IssuedToken:
        secret, now = new_token(), self.clock.now()
        expires_at = now + timedelta(days=self.settings.api_token_days)
        self.tokens.add(ApiToken(user.id, name, digest_of(secret, self._key()), now, expires_at))
        self.transaction.commit()
        logger.info("token issued", extra={"token_user_id": user.id})
        return IssuedToken(secret, expires_at)

    def _key(self) -> str:
        return self.settings.secret_key.get_secret_value()
