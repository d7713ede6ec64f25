"""A user, as a plain value."""

import enum
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

logger = logging.getLogger(__name__)


class Role(enum.StrEnum):
    """What a user may do beyond their own things."""

    USER = "user"
    ADMIN = "admin"


Sort = Literal["email", "name", "created_at", "last_login_at"]
"""What a list of users can be sorted by. Whoever never logged in comes before everybody who did."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class UserChanges(TypedDict, total=False):
    """What an admin may change of a user."""

    name: str
    email: str
    role: Role
    active: bool
    language: str | None


@dataclass(frozen=True, slots=True)
class UserQuery:
    """Which users, in which order. ``text`` is part of a name or an address."""

    text: str = ""
    role: Role | None = None
    active: bool | None = None
    sort: Sort = "email"
    descending: bool = False

    def position(self, user: "User") -> tuple[Any, ...]:
        """Return where a user stands in this order."""
        return (getattr(user, self.sort) or NEVER, user.id)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. Personal data is left out of ``repr``, and so out of logs.

    ``language`` is the one they chose, or None for whatever their browser says.
    """

    id: int
    email: str = field(repr=False)
    name: str = field(repr=False)
    password_hash: str = field(repr=False)
    active: bool
    created_at: datetime
    role: Role = Role.USER
    language: str | None = field(default=None, repr=False)
    last_login_at: datetime | None = field(default=None, repr=False)

    @property
    def admin(self) -> bool:
        """Whether they may see and change everybody."""
        return self.role is Role.ADMIN
