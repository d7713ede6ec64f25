"""Use cases: a second factor, for those who want one."""

import logging

from app.about import NAME
from app.auth.codes import matching_step, new_recovery_codes, new_secret, plain, provisioning_uri
from app.auth.credentials import Credentials
from app.auth.letter_models import LetterKind
from app.auth.letters import Letters
from app.auth.models import Enrolment
from app.auth.second_factor_repository import SecondFactorRepository
from app.auth.utils import digest_of
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import Conflict, NotAllowed
from app.settings import Settings
from app.users.models import User

logger = logging.getLogger(__name__)


class SecondFactors:
    """Turns second factors on and off. Checking them is for Credentials, which count what fails."""

    def __init__(
        self,
        factors: SecondFactorRepository,
        credentials: Credentials,
        letters: Letters,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.factors = factors
        self.credentials = credentials
        self.letters = letters
        self.transaction = transaction
        self.clock = clock
        self.settings = settings

    def is_on(self, user: User) -> bool:
        """Say whether a user needs a code to log in."""
        factor = self.factors.of(user.id)
        self.transaction.commit()
        return factor is not None and factor.confirmed_at is not None

    def recovery_codes_left(self, user: User) -> int:
        """Return how many recovery codes a user still has."""
        left = self.factors.count_codes(user.id)
        self.transaction.commit()
        return left

    def begin(self, user: User, password: str) -> Enrolment:
        """Give somebody a secret for their authenticator. It counts once they have confirmed it.

        Raises NotAllowed for a wrong password, and Conflict when one is on.
        """
        self.credentials.confirm(user, password)
        if self.is_on(user):
            raise Conflict("There is a second factor already: turn it off first.")
        secret = new_secret()
        self.factors.begin(user.id, secret)
        self.transaction.commit()
        return Enrolment(secret, provisioning_uri(secret, user.email, NAME))

    def enrolment(self, user: User) -> Enrolment:
        """Return again what `begin` did, until it is confirmed. Raises Conflict when nothing was begun."""
        factor = self.factors.of(user.id)
        self.transaction.commit()
        if factor is None or factor.confirmed_at is not None:
            raise Conflict("No second factor is waiting to be confirmed.")
        return Enrolment(factor.secret, provisioning_uri(factor.secret, user.email, NAME))

    def confirm(self, user: User, code: str) -> list[str]:
        """Turn the second factor on, for somebody whose authenticator shows the right code; return recovery codes.

        Raises Conflict when nothing was begun, and NotAllowed for a wrong code.
        """
        factor = self.factors.of(user.id)
        self.transaction.commit()
        if factor is None or factor.confirmed_at is not None:
            raise Conflict("No second factor is waiting to be confirmed.")
        step = matching_step(factor.secret, plain(code), self.clock.now())
        if step is None:
            raise NotAllowed("That is not the code that your authenticator shows.")
        if not self.factors.confirm(user.id, factor.secret, self.clock.now()):
            self.transaction.commit()
            raise Conflict("No second factor is waiting to be confirmed.")
        self.factors.use_step(user.id, step)
        codes = self._new_codes(user)
        self.letters.post(LetterKind.SECOND_FACTOR_ON, user.email, user_id=user.id, language=user.language)
        logger.info("second factor on", extra={"changed_user_id": user.id})
        return codes

    def new_recovery_codes(self, user: User, password: str) -> list[str]:
        """Return new recovery codes; those from before are useless. Raises NotAllowed, and Conflict when none is on."""
        self.credentials.confirm(user, password)
        if not self.is_on(user):
            raise Conflict("There is no second factor.")
        codes = self._new_codes(user)
        self.transaction.commit()
        return codes

    def turn_off(self, user: User, password: str) -> None:
        """Let a password be enough again. Raises NotAllowed for a wrong one."""
        self.credentials.confirm(user, password)
        self.remove(user)

    def remove(self, user: User) -> bool:
        """Turn a second factor off for somebody who has lost it, as an operator may; say whether there was one."""
        removed = self.factors.remove(user.id)
        if removed:
            self.letters.post(LetterKind.SECOND_FACTOR_OFF, user.email, user_id=user.id, language=user.language)
            logger.info("second factor off", extra={"changed_user_id": user.id})
        self.transaction.commit()
        return removed

    def _new_codes(self, user: User) -> list[str]:
        codes = new_recovery_codes()
        key = self.settings.secret_key.get_secret_value()
        self.factors.keep_codes(user.id, [digest_of(plain(code), key) for code in codes])
        return codes
