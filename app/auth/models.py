"""API tokens, as plain values."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is kept of a token: a digest, from which the token can't be had back."""

    user_id: int
    name: str
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. ``secret`` is shown once, to its owner, and kept nowhere."""

    secret: str = field(repr=False)
    expires_at: datetime
