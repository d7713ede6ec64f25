"""A kept answer, as a plain value."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A key that a user has claimed, for which request, and the answer; None until there is one."""

    user_id: int
    key_digest: str
    fingerprint: str
    created_at: datetime
    text: str | None = field(default=None, repr=False)
    lost: bool = False
    """Whether no answer will come any more: no request is at work for so long."""
