"""Jobs of authentication."""

import logging
from datetime import timedelta

from app.auth.services import Tokens
from app.jobs.models import Arguments, Components, Job

logger = logging.getLogger(__name__)


def remove_expired_tokens(components: Components, arguments: Arguments) -> str:
    """Remove what nobody can use any more."""
    removed = components.get(Tokens).remove_expired()
    return f"{removed} expired token{'s' * (removed != 1)} removed"


JOBS = (
    Job(
        name="auth.remove-expired-tokens",
        summary="Remove API tokens that have expired",
        run=remove_expired_tokens,
        every=timedelta(hours=1),
    ),
)
