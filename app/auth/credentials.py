"""Is this person who they say they are? The one place that decides, for browsers and for API tokens."""

import logging
from datetime import timedelta

from app.auth.failure_repository import FailureRepository
from app.auth.passwords import PasswordHasher
from app.auth.utils import digest_of
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotAllowed, NotAuthenticated
from app.settings import Settings
from app.users.models import User
from app.users.repository import UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)

FAILURES = 10
LOCKED = timedelta(minutes=15)
"""After so many failures in a row nobody gets in for so long; each row ends when somebody gets in, or by itself."""

REFUSED = (
    "This e-mail address and this password don't belong together, or there were too many attempts:"
    f" try again in {LOCKED // timedelta(minutes=1)} minutes."
)
"""One answer for an unknown address, a wrong password, a deactivated user and an address that is locked."""


class Credentials:
    """Checks what somebody proves themselves with, and counts failures.

    Failures are counted by address, known or not. Whoever guesses in parallel gets in as many guesses more as the site
    has threads.
    """

    def __init__(
        self,
        users: UserRepository,
        failures: FailureRepository,
        transaction: Transaction,
        hasher: PasswordHasher,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.users = users
        self.failures = failures
        self.transaction = transaction
        self.hasher = hasher
        self.clock = clock
        self.settings = settings

    def check(self, email: str, password: str, code: str | None = None) -> User:
        """Return the user with this password. Raises NotAuthenticated, never saying why, after just as long a time."""
        try:
            user = self.users.by_email(normalise_email(email))
        except ValueError:
            user = None
        if not self._password_is_right(user, email, password) or user is None:
            raise NotAuthenticated(REFUSED)
        self._forget(email)
        return user

    def check_code(self, ticket: str, code: str) -> User:
        """Return the user of a ticket that goes with this code. Raises NotAuthenticated."""
        raise NotAuthenticated(REFUSED)

    def confirm(self, user: User, password: str) -> None:
        """Have somebody who is signed in prove that it is still them. Raises NotAllowed."""
        if not self._password_is_right(user, user.email, password):
            raise NotAllowed("That is not your password, or there were too many attempts.")
        self._forget(user.email)

    def forget_failures(self, email: str) -> None:
        """Let somebody in again who has proved that they read the mail of this address; the caller commits."""
        self.failures.forget(self._key(email))

    def remove_old_failures(self) -> int:
        """Remove counts that mean nothing any more, and return how many."""
        removed = self.failures.remove_before(self.clock.now() - LOCKED)
        self.transaction.commit()
        return removed

    def _password_is_right(self, user: User | None, email: str, password: str) -> bool:
        key, since = self._key(email), self.clock.now() - LOCKED
        failed = self.failures.count(key, since)
        # Ends the reading transaction: none is open while the password is checked, and writing starts afresh.
        # (SQLite refuses a writer that began by reading if somebody else has written since.)
        self.transaction.commit()
        known = user if user is not None and user.active else None
        right = self.hasher.matches(known.password_hash if known else None, password)
        if failed >= FAILURES:
            logger.warning("log-in refused: locked after %d failures", failed)
            return False
        if not right:
            self._count_failure(email)
        return right

    def _count_failure(self, email: str) -> None:
        now = self.clock.now()
        self.failures.add(self._key(email), now, now - LOCKED)
        self.transaction.commit()
        logger.info("log-in refused")

    def _forget(self, email: str) -> None:
        since = self.clock.now() - LOCKED
        failed = self.failures.count(self._key(email), since)
        self.transaction.commit()
        if failed:
            self.failures.forget(self._key(email))
            self.transaction.commit()

    def _key(self, email: str) -> str:
        return digest_of(email.strip().casefold(), self.settings.secret_key.get_secret_value())
