"""A user, as a plain value."""

import enum
import logging
from dataclasses import dataclass, field
from datetime import datetime

logger = logging.getLogger(__name__)


class Role(enum.StrEnum):
    """What a user may do beyond their own things."""

    USER = "user"
    ADMIN = "admin"


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
