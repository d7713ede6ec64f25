"""Is this person who they say they are? The one place that decides, for browsers and for API tokens."""

import logging

from app.auth.passwords import PasswordHasher
from app.database.transaction import Transaction
from app.errors import NotAuthenticated
from app.users.models import User
from app.users.repository import UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)

REFUSED = "This e-mail address and this password don't belong together."
"""One answer for an unknown address, a wrong password and a deactivated user."""


class Credentials:
    """Checks what somebody proves themselves with."""

    def __init__(self, users: UserRepository, transaction: Transaction, hasher: PasswordHasher) -> None:
        self.users = users
        self.transaction = transaction
        self.hasher = hasher

    def check(self, email: str, password: str, code: str | None = None) -> User:
        """Return the user with this password. Raises NotAuthenticated, never saying why, after just as long a time."""
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
        return user

    def check_code(self, ticket: str, code: str) -> User:
        """Return the user of a ticket that goes with this code. Raises NotAuthenticated."""
        raise NotAuthenticated(REFUSED)
