"""Is this person who they say they are? The one place that decides, for browsers and for API tokens."""

import dataclasses
import hashlib
import hmac
import logging
from datetime import timedelta

from itsdangerous import BadSignature, Signer

from app.auth.codes import matching_step, plain
from app.auth.failure_repository import FailureRepository
from app.auth.models import SecondFactor, SecondFactorNeeded
from app.auth.passwords import PasswordHasher
from app.auth.second_factor_repository import SecondFactorRepository
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

WRONG_CODE = "That code is not right, or was used before."

TICKET = timedelta(minutes=5)
"""How long a right password lasts while somebody looks for their code."""


class Credentials:
    """Checks what somebody proves themselves with, and counts failures.

    Failures are counted by address, known or not. Whoever guesses in parallel gets in as many guesses more as the site
    has threads.
    """

    def __init__(
        self,
        users: UserRepository,
        failures: FailureRepository,
        factors: SecondFactorRepository,
        transaction: Transaction,
        hasher: PasswordHasher,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.users = users
        self.failures = failures
        self.factors = factors
        self.transaction = transaction
        self.hasher = hasher
        self.clock = clock
        self.settings = settings

    def check(self, email: str, password: str, code: str | None = None) -> User:
        """Return the user with this password. Raises NotAuthenticated, never saying why, after just as long a time.

        Raises SecondFactorNeeded for a right password without the code that has to go with it.
        """
        try:
            user = self.users.by_email(normalise_email(email))
        except ValueError:
            user = None
        if not self._password_is_right(user, email, password) or user is None:
            raise NotAuthenticated(REFUSED)
        factor = self._factor_of(user)
        if factor is not None and code is None:
            raise SecondFactorNeeded(self._ticket(user))
        if factor is not None and not self._code_is_right(factor, code or ""):
            self._count_failure(email)
            raise NotAuthenticated(WRONG_CODE)
        self._forget(email)
        return self._with_hash_of_today(user, password)

    def check_code(self, ticket: str, code: str) -> User:
        """Return the user of a ticket that goes with this code. Raises NotAuthenticated.

        A ticket is good for some minutes, and until the password is another one.
        """
        user = self._user_of(ticket)
        factor = None if user is None else self._factor_of(user)
        if user is None or factor is None:
            raise NotAuthenticated("That took too long: begin again.")
        if self._is_locked(user.email) or not self._code_is_right(factor, code):
            self._count_failure(user.email)
            raise NotAuthenticated(WRONG_CODE)
        self._forget(user.email)
        return user

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
        failed = self.failures.count(self._key(email), self.clock.now() - LOCKED)
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

    def _is_locked(self, email: str) -> bool:
        failed = self.failures.count(self._key(email), self.clock.now() - LOCKED)
        self.transaction.commit()
        return failed >= FAILURES

    def _factor_of(self, user: User) -> SecondFactor | None:
        factor = self.factors.of(user.id)
        self.transaction.commit()
        return factor if factor is not None and factor.confirmed_at is not None else None

    def _code_is_right(self, factor: SecondFactor, code: str) -> bool:
        """Use a code up, or a recovery code; say whether it was right."""
        step = matching_step(factor.secret, plain(code), self.clock.now())
        if step is not None:
            right = self.factors.use_step(factor.user_id, step)
        else:
            right = self.factors.use_code(factor.user_id, digest_of(plain(code), self._secret_key))
        self.transaction.commit()
        return right

    def _with_hash_of_today(self, user: User, password: str) -> User:
        """Hash a password anew that was hashed with other effort than today's: only now it is there to be hashed."""
        if not self.hasher.outdated(user.password_hash):
            return user
        hashed = self.hasher.hash(password)
        self.users.change_password(user.id, user.password_hash, hashed)
        self.transaction.commit()
        return dataclasses.replace(user, password_hash=hashed)

    def _ticket(self, user: User) -> str:
        until = int((self.clock.now() + TICKET).timestamp())
        return self._signer.sign(f"{user.id}.{until}.{self._fingerprint(user)}").decode()

    def _user_of(self, ticket: str) -> User | None:
        try:
            number, until, fingerprint = self._signer.unsign(ticket.encode("utf-8", "replace")).decode().split(".")
        except BadSignature:
            return None
        user = self.users.by_id(int(number)) if int(until) > self.clock.now().timestamp() else None
        self.transaction.commit()
        if user is None or not user.active or not hmac.compare_digest(fingerprint, self._fingerprint(user)):
            return None
        return user

    def _fingerprint(self, user: User) -> str:
        return digest_of(user.password_hash, self._secret_key)[:32]

    @property
    def _signer(self) -> Signer:
        return Signer(self._secret_key, salt="second-factor", digest_method=hashlib.sha256, key_derivation="hmac")

    @property
    def _secret_key(self) -> str:
        return self.settings.secret_key.get_secret_value()

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
        return digest_of(email.strip().casefold(), self._secret_key)
