"""Use cases: create users and look them up."""

import dataclasses
import logging

from app.auth.passwords import PasswordHasher
from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import Conflict, NotAllowed
from app.users.models import User
from app.users.repository import EmailTaken, UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)


class Users:
    """Manages users."""

    def __init__(
        self, repository: UserRepository, transaction: Transaction, hasher: PasswordHasher, clock: Clock
    ) -> None:
        self.repository = repository
        self.transaction = transaction
        self.hasher = hasher
        self.clock = clock

    def get(self, user_id: int, viewer: User) -> User:
        """Return a user to somebody who may see them. Raises NotAllowed.

        Whether there is such a user at all is nobody else's business, so that is not told apart.
        """
        if viewer.id != user_id:
            raise NotAllowed("You may see yourself only.")
        return viewer

    def change_profile(self, user: User, name: str, language: str | None) -> User:
        """Let somebody have another name, and choose their language or let their browser do it."""
        self.repository.change(user.id, name=name.strip(), language=language)
        self.transaction.commit()
        return dataclasses.replace(user, name=name.strip(), language=language)

    def create(self, email: str, name: str, password: str) -> User:
        """Create a user. Raises ValueError for what is no e-mail address, and Conflict if somebody has it already."""
        address = normalise_email(email)
        hashed = self.hasher.hash(password)  # takes long on purpose: before the transaction, not inside
        try:
            user = self.repository.add(address, name.strip(), hashed, self.clock.now())
        except EmailTaken:
            raise Conflict("There is a user with this e-mail address already.") from None
        self.transaction.commit()
        logger.info("user created", extra={"created_user_id": user.id})
        return user
