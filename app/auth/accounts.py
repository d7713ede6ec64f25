"""Use cases: have an account, without telling anybody else who has one.

Whether an address has an account is told by mail, to that address, and by nothing else: each of these answers alike and
takes as long for an address that is known as for one that is not.
"""

import logging

from app.auth.credentials import Credentials
from app.auth.letter_models import LetterKind
from app.auth.letters import Letters
from app.auth.models import SignedIn
from app.auth.passwords import PasswordHasher
from app.auth.session_repository import SessionRepository
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import Conflict, Invalid, NotAllowed
from app.users.access import Access
from app.users.models import User
from app.users.repository import EmailTaken, UserRepository
from app.users.utils import acceptable_password, normalise_email

logger = logging.getLogger(__name__)

TAKEN = "There is an account with this e-mail address already."


class Accounts:
    """Lets people sign up, prove their address, and change what they sign in with."""

    def __init__(
        self,
        users: UserRepository,
        sessions: SessionRepository,
        access: Access,
        letters: Letters,
        credentials: Credentials,
        transaction: Transaction,
        hasher: PasswordHasher,
        clock: Clock,
    ) -> None:
        self.users = users
        self.sessions = sessions
        self.access = access
        self.letters = letters
        self.credentials = credentials
        self.transaction = transaction
        self.hasher = hasher
        self.clock = clock

    def sign_up(self, email: str, name: str, password: str, language: str | None = None) -> None:
        """Write to somebody who wants an account: there is one when they follow the link. Raises Invalid.

        Each letter has its own name and password, so that of several who sign up with one address, whoever reads its
        mail gets what they asked for.
        """
        address = self._address(email)
        hashed = self._hashed(password, address)
        known = self._known(address)
        if known is not None:
            self.letters.post(LetterKind.SIGN_UP_KNOWN, address, user_id=known.id, language=known.language or language)
        else:
            self.letters.post(LetterKind.SIGN_UP, address, name=name.strip(), password_hash=hashed, language=language)

    def check_sign_up(self, secret: str) -> None:
        """Look whether the link of a sign-up still works, and use nothing up. Raises NotFound."""
        self.letters.open(LetterKind.SIGN_UP, secret)

    def verify(self, secret: str) -> User:
        """Make the account of somebody who followed the link. Raises NotFound, and Conflict if there is one by now."""
        letter = self.letters.open(LetterKind.SIGN_UP, secret)
        self.letters.take(letter)
        assert letter.name is not None
        assert letter.password_hash is not None
        try:
            user = self.users.add(letter.email, letter.name, letter.password_hash, self.clock.now(), letter.language)
        except EmailTaken:
            self.transaction.commit()
            raise Conflict(TAKEN) from None
        self.transaction.commit()
        logger.info("user signed up", extra={"created_user_id": user.id})
        return user

    def ask_reset(self, email: str, language: str | None = None) -> None:
        """Write to somebody who has forgotten their password. Raises Invalid for what is no address."""
        address = self._address(email)
        user = self._known(address)
        if user is None or not user.active:
            self.letters.post(LetterKind.RESET_UNKNOWN, address, language=language)
        else:
            self.letters.post(LetterKind.RESET, address, user_id=user.id, language=user.language or language)

    def check_reset(self, secret: str) -> None:
        """Look whether the link of a reset still works, and use nothing up. Raises NotFound."""
        self.letters.open(LetterKind.RESET, secret)

    def reset(self, secret: str, password: str) -> User:
        """Set the password of somebody who followed the link; every session and API token ends.

        Raises NotFound, and Invalid for a password that can't be set: the link is still good then.
        """
        letter = self.letters.open(LetterKind.RESET, secret)
        hashed = self._hashed(password, letter.email)
        self.letters.take(letter)
        assert letter.user_id is not None
        self._set(letter.user_id, letter.email, letter.language, hashed)
        return self._user(letter.user_id)

    def set_password(self, user: User, password: str) -> None:
        """Set a user's password, as an operator may; every session and API token ends. Raises Invalid."""
        self._set(user.id, user.email, user.language, self._hashed(password, user.email))

    def change_password(self, signed_in: SignedIn | User, current: str, new: str) -> None:
        """Set another password for somebody who knows theirs; every session but this one ends.

        Raises NotAllowed when they don't, and Invalid for a password that can't be set.
        """
        user, keep = (signed_in, None) if isinstance(signed_in, User) else (signed_in.user, signed_in.session.id)
        self.credentials.confirm(user, current)
        hashed = self._hashed(new, user.email)
        if not self.users.change_password(user.id, user.password_hash, hashed):
            raise NotAllowed("Your password was changed at the same time, somewhere else.")
        self.access.end_links(user.id)
        self.sessions.remove_all(user.id, but=keep)
        self._tell_of_password(user.id, user.email, user.language)

    def ask_email(self, user: User, password: str, email: str) -> None:
        """Write to the address that somebody wants to have: it is theirs when they follow the link.

        Raises NotAllowed for a wrong password, and Invalid for what is no address.
        """
        address = self._address(email)
        self.credentials.confirm(user, password)
        known = self._known(address)
        kind = LetterKind.EMAIL if known is None else LetterKind.SIGN_UP_KNOWN
        owner = user if known is None else known
        self.letters.post(kind, address, user_id=owner.id, language=owner.language)

    def check_email(self, secret: str) -> None:
        """Look whether the link for a new address still works, and use nothing up. Raises NotFound."""
        self.letters.open(LetterKind.EMAIL, secret)

    def confirm_email(self, secret: str) -> User:
        """Give somebody who followed the link their new address. Raises NotFound, and Conflict if it is taken."""
        letter = self.letters.open(LetterKind.EMAIL, secret)
        assert letter.user_id is not None
        before = self._user(letter.user_id)
        self.letters.take(letter)
        try:
            self.users.change(before.id, email=letter.email)
        except EmailTaken:
            self.transaction.commit()
            raise Conflict(TAKEN) from None
        self.access.end_links(before.id)
        self.letters.post(LetterKind.EMAIL_CHANGED, before.email, user_id=before.id, language=before.language)
        logger.info("e-mail address changed", extra={"changed_user_id": before.id})
        return self._user(before.id)

    def _set(self, user_id: int, email: str, language: str | None, hashed: str) -> None:
        self.users.change(user_id, password_hash=hashed)
        self.access.end(user_id)
        self.credentials.forget_failures(email)
        self._tell_of_password(user_id, email, language)

    def _tell_of_password(self, user_id: int, email: str, language: str | None) -> None:
        self.letters.post(LetterKind.PASSWORD_CHANGED, email, user_id=user_id, language=language)
        logger.info("password changed", extra={"changed_user_id": user_id})

    def _user(self, user_id: int) -> User:
        user = self.users.by_id(user_id)
        self.transaction.commit()
        assert user is not None, "letters go with their user"
        return user

    def _known(self, address: str) -> User | None:
        user = self.users.by_email(address)
        self.transaction.commit()
        return user

    def _hashed(self, password: str, address: str) -> str:
        try:
            return self.hasher.hash(acceptable_password(password, address))
        except ValueError as error:
            raise Invalid(f"{error}".capitalize() + ".") from None

    @staticmethod
    def _address(email: str) -> str:
        try:
            return normalise_email(email)
        except ValueError as error:
            raise Invalid(f"This is {error}.") from None
