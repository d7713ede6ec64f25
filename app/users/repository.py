"""Where users are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.database.session import Session
from app.users.models import Role, User
from app.users.tables import users
from app.users.utils import joined_name, split_name

logger = logging.getLogger(__name__)


class EmailTaken(Exception):
    """Another user has this e-mail address."""


class UserRepository(Protocol):
    """Keeps users. E-mail addresses are given normalised."""

    def add(self, email: str, name: str, password_hash: str, created_at: datetime, language: str | None = None) -> User:
        """Add an active user. Raises EmailTaken."""
        ...

    def by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""
        ...

    def by_email(self, email: str) -> User | None:
        """Return a user, or None."""
        ...

    def change(self, user_id: int, **changes: Any) -> None:
        """Change columns of a user. Raises EmailTaken."""
        ...

    def change_password(self, user_id: int, known: str, wanted: str) -> bool:
        """Set the hash of a user's password, if it is still the one that is known; say whether it was."""
        ...

    def note_log_in(self, user_id: int, moment: datetime) -> None:
        """Note when a user last logged in."""
        ...


class SqlUserRepository:
    """Users in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, email: str, name: str, password_hash: str, created_at: datetime, language: str | None = None) -> User:
        """Add an active user. Raises EmailTaken.

        The constraint decides, not a look beforehand: between look and insert another request may come first.
        """
        row = {"email": email, **named(name), "password_hash": password_hash, "created_at": created_at, "active": True}
        row |= {"role": Role.USER.value, "language": language}
        try:
            with self.session.savepoint():
                user_id = self.session.execute(insert(users).values(row).returning(users.c.id)).scalar_one()
        except IntegrityError:
            raise EmailTaken from None
        return User(user_id, email, name, password_hash, active=True, created_at=created_at, language=language)

    def by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""
        return _user(self.session.execute(select(users).where(users.c.id == user_id)).one_or_none())

    def by_email(self, email: str) -> User | None:
        """Return a user, or None."""
        return _user(self.session.execute(select(users).where(users.c.email == email)).one_or_none())

    def change(self, user_id: int, **changes: Any) -> None:
        """Change columns of a user. Raises EmailTaken."""
        columns = {**changes, **(named(changes["name"]) if "name" in changes else {})}
        try:
            with self.session.savepoint():
                self.session.execute(update(users).where(users.c.id == user_id).values(columns))
        except IntegrityError:
            raise EmailTaken from None

    def change_password(self, user_id: int, known: str, wanted: str) -> bool:
        """Set the hash of a user's password, if it is still the one that is known; say whether it was."""
        still = (users.c.id == user_id) & (users.c.password_hash == known)
        return self.session.execute(update(users).where(still).values(password_hash=wanted)).rowcount == 1

    def note_log_in(self, user_id: int, moment: datetime) -> None:
        """Note when a user last logged in."""
        self.session.execute(update(users).where(users.c.id == user_id).values(last_login_at=moment))


def named(name: str) -> dict[str, str]:
    """Return the columns of a name: in two, which are read, and in one, for releases that know no other."""
    given, family = split_name(name)
    return {"name": name, "given_name": given, "family_name": family}


def _user(row: Row[*tuple[Any, ...]] | None) -> User | None:
    if row is None:
        return None
    return User(
        row.id,
        row.email,
        row.name if row.given_name is None else joined_name(row.given_name, row.family_name),
        row.password_hash,
        row.active,
        row.created_at,
        Role(row.role),
        row.language,
        row.last_login_at,
    )


class InMemoryUserRepository:
    """Users in a dictionary."""

    def __init__(self) -> None:
        self.users: dict[int, User] = {}

    def add(self, email: str, name: str, password_hash: str, created_at: datetime, language: str | None = None) -> User:
        """Add an active user. Raises EmailTaken."""
        if self.by_email(email):
            raise EmailTaken
        user = User(len(self.users) + 1, email, name, password_hash, True, created_at, language=language)
        self.users[user.id] = user
        return user

    def by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""
        return self.users.get(user_id)

    def by_email(self, email: str) -> User | None:
        """Return a user, or None."""
        return next((user for user in self.users.values() if user.email == email), None)

    def change(self, user_id: int, **changes: Any) -> None:
        """Change columns of a user. Raises EmailTaken."""
        other = self.by_email(changes.get("email", ""))
        if other and other.id != user_id:
            raise EmailTaken
        if user_id in self.users:
            self.users[user_id] = dataclasses.replace(self.users[user_id], **changes)

    def change_password(self, user_id: int, known: str, wanted: str) -> bool:
        """Set the hash of a user's password, if it is still the one that is known; say whether it was."""
        user = self.users.get(user_id)
        if user is None or user.password_hash != known:
            return False
        self.users[user_id] = dataclasses.replace(user, password_hash=wanted)
        return True

    def note_log_in(self, user_id: int, moment: datetime) -> None:
        """Note when a user last logged in."""
        if user_id in self.users:
            self.users[user_id] = dataclasses.replace(self.users[user_id], last_login_at=moment)
