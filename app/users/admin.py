"""Use cases of admins: see everybody, change them, and let nobody else do either."""

import logging
from typing import Any

from app.database.transaction import Transaction
from app.errors import Conflict, Invalid, NotAllowed, NotFound
from app.users.access import Access
from app.users.models import Role, User, UserChanges, UserQuery
from app.users.repository import EmailTaken, UserRepository
from app.users.utils import normalise_email

logger = logging.getLogger(__name__)


class UserAdmin:
    """Manages users, for admins. ``by`` is who asks; None is an operator at the command line."""

    def __init__(self, repository: UserRepository, access: Access, transaction: Transaction) -> None:
        self.repository = repository
        self.access = access
        self.transaction = transaction

    def search(
        self, by: User | None, query: UserQuery, after: tuple[Any, ...] | None = None, limit: int = 20
    ) -> list[User]:
        """Return users in the order of the query, those after a position of it. Raises NotAllowed."""
        self._check(by)
        return self.repository.search(query, after, limit)

    def show(self, by: User | None, user_id: int) -> User:
        """Return a user. Raises NotAllowed and NotFound."""
        self._check(by)
        user = self.repository.by_id(user_id)
        self.transaction.commit()
        if user is None:
            raise NotFound(f"There is no user with the id {user_id}.")
        return user

    def by_email(self, email: str) -> User:
        """Return a user, to an operator. Raises NotFound."""
        user = self.repository.by_email(self._address(email))
        self.transaction.commit()
        if user is None:
            raise NotFound("There is no user with this e-mail address.")
        return user

    def edit(self, by: User | None, user_id: int, changes: UserChanges) -> User:
        """Change a user. One who is deactivated is signed out everywhere, and their API tokens are gone.

        Raises NotAllowed, NotFound, Invalid for what is no address, and Conflict for one that is taken and for a
        change that would leave no admin.
        """
        user = self.show(by, user_id)
        changed: dict[str, Any] = {**changes}
        if not changed:
            return user
        if "email" in changed:
            changed["email"] = self._address(changed["email"])
        if by is not None and by.id == user.id and changed.get("active") is False:
            raise NotAllowed("You can't deactivate yourself: ask another admin.")
        if changed.get("role", Role.ADMIN) is not Role.ADMIN or changed.get("active") is False:
            self._keep_an_admin(user)
        try:
            self.repository.change(user.id, **changed)
        except EmailTaken:
            raise Conflict("There is a user with this e-mail address already.") from None
        if changed.get("active") is False:
            self.access.end(user.id)
        elif "email" in changed:
            self.access.end_links(user.id)
        self.transaction.commit()
        said = {"edited_user_id": user.id, "changed": sorted(changed), "by_user_id": by.id if by else None}
        logger.info("user edited", extra=said)
        return self.show(by, user_id)

    def _keep_an_admin(self, user: User) -> None:
        """Hold every admin's row, so that of two who demote each other one is refused. Raises Conflict."""
        self.repository.hold_admins()
        if self.repository.count_admins(but=user.id) == 0 and user.admin and user.active:
            self.transaction.commit()
            raise Conflict("That would leave no admin: make somebody else one first.")

    @staticmethod
    def _check(by: User | None) -> None:
        if by is not None and not by.admin:
            raise NotAllowed("Only admins may do this.")

    @staticmethod
    def _address(email: str) -> str:
        try:
            return normalise_email(email)
        except ValueError as error:
            raise Invalid(f"This is {error}.") from None
