"""A user, as a plain value."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. Personal data is left out of ``repr``, and so out of logs."""

    id: int
    email: str = field(repr=False)
    name: str = field(repr=False)
    password_hash: str = field(repr=False)
    active: bool
    created_at: datetime
