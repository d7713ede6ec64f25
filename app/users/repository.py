"""Where users are kept: the port, its adapter on the database, and its twin in memory."""

import dataclasses
import logging
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, case, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.database.keyset import beyond
from app.database.session import Session
from app.users.models import NEVER, Role, User, UserQuery
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

    def search(self, query: UserQuery, after: tuple[Any, ...] | None, limit: int) -> list[User]:
        """Return users in the order of the query, those after a position of it."""
        ...

    def hold_admins(self) -> None:
        """Let nobody else change who is an admin until the transaction ends."""
        ...

    def count_admins(self, but: int) -> int:
        """Return how many others are active admins."""
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

    def search(self, query: UserQuery, after: tuple[Any, ...] | None, limit: int) -> list[User]:
        """Return users in the order of the query, those after a position of it."""
        key = SORTED_BY.get(query.sort, users.c[query.sort])
        found = select(users).where(*_conditions(query))
        if after is not None:
            found = found.where(beyond(after, key, users.c.id, descending=(query.descending, query.descending)))
        order = [each.desc() if query.descending else each for each in (key, users.c.id)]
        rows = self.session.execute(found.order_by(*order).limit(limit)).all()
        return [user for row in rows if (user := _user(row))]

    def hold_admins(self) -> None:
        """Let nobody else change who is an admin until the transaction ends: writing holds rows on every database."""
        admins = users.c.role == Role.ADMIN.value
        self.session.execute(update(users).where(admins).values(role=Role.ADMIN.value))

    def count_admins(self, but: int) -> int:
        """Return how many others are active admins."""
        others = (users.c.role == Role.ADMIN.value, users.c.active.is_(True), users.c.id != but)
        return int(self.session.execute(select(func.count()).select_from(users).where(*others)).scalar_one())


NAME = case(
    (users.c.given_name.is_(None), users.c.name),
    (func.coalesce(users.c.family_name, "") == "", users.c.given_name),
    else_=users.c.given_name + " " + users.c.family_name,
)
"""The whole name, from whichever columns a row has it in."""

SORTED_BY: dict[str, ColumnElement[Any]] = {"last_login_at": func.coalesce(users.c.last_login_at, NEVER), "name": NAME}
"""What lists of users are sorted by, where that is more than a column: nothing of it may be NULL."""


def _conditions(query: UserQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.text:
        part = query.text.strip().lower()
        inside = [func.lower(column).contains(part, autoescape=True) for column in (users.c.email, NAME)]
        conditions.append(or_(*inside))
    if query.role is not None:
        conditions.append(users.c.role == query.role.value)
    if query.active is not None:
        conditions.append(users.c.active.is_(query.active))
    return conditions


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

    def search(self, query: UserQuery, after: tuple[Any, ...] | None, limit: int) -> list[User]:
        """Return users in the order of the query, those after a position of it."""
        part = query.text.strip().lower()
        found = [
            user
            for user in self.users.values()
            if (part in user.email.lower() or part in user.name.lower())
            and query.role in (None, user.role)
            and query.active in (None, user.active)
        ]
        found.sort(key=query.position, reverse=query.descending)
        if after is not None:
            found = [
                user
                for user in found
                if (query.position(user) < after if query.descending else query.position(user) > after)
            ]
        return found[:limit]

    def hold_admins(self) -> None:
        """Nobody else is there."""

    def count_admins(self, but: int) -> int:
        """Return how many others are active admins."""
        return sum(user.admin and user.active and user.id != but for user in self.users.values())
