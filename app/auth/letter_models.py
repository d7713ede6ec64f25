"""Letters, as plain values: what we have to tell somebody by mail, and what they may do with the link in it."""

import enum
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

logger = logging.getLogger(__name__)


class LetterKind(enum.StrEnum):
    """Why we write. The value is the name of the mail's template."""

    SIGN_UP = "sign-up"
    SIGN_UP_KNOWN = "sign-up-known"
    RESET = "reset"
    RESET_UNKNOWN = "reset-unknown"
    EMAIL = "email"
    EMAIL_CHANGED = "email-changed"
    SECOND_FACTOR_ON = "second-factor-on"
    SECOND_FACTOR_OFF = "second-factor-off"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a mail


PAGES = {LetterKind.SIGN_UP: "verify", LetterKind.RESET: "reset", LetterKind.EMAIL: "email"}
"""The pages that the links of letters lead to."""

GOOD_FOR = {LetterKind.SIGN_UP: timedelta(hours=24), LetterKind.RESET: timedelta(hours=1)}
"""How long a link is good, and how long sending is tried."""

GOOD_FOR_OTHERS = timedelta(hours=24)


ASKED_FOR = frozenset(
    {LetterKind.SIGN_UP, LetterKind.SIGN_UP_KNOWN, LetterKind.RESET, LetterKind.RESET_UNKNOWN, LetterKind.EMAIL}
)
"""Letters that anybody can have us write to an address, so there is a limit."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. Its link's secret is made from ``id`` and the site's key, and kept nowhere.

    ``name`` and ``password_hash`` are those of somebody who signs up: there is no user until the address is proved.
    """

    id: str
    kind: LetterKind
    email: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    due_at: datetime
    user_id: int | None = None
    name: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    language: str | None = None
    attempts: int = 0
    sent_at: datetime | None = None
