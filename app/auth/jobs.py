"""Jobs of authentication."""

import logging
from datetime import timedelta

from app.auth.credentials import Credentials
from app.auth.letters import SEND, Letters
from app.auth.services import Tokens
from app.auth.sessions import Sessions
from app.jobs.models import Arguments, Components, Job

logger = logging.getLogger(__name__)


def remove_expired_tokens(components: Components, arguments: Arguments) -> str:
    """Remove what nobody can use any more."""
    removed = components.get(Tokens).remove_expired()
    return f"{removed} expired token{'s' * (removed != 1)} removed"


def clean_up(components: Components, arguments: Arguments) -> str:
    """Remove what means nothing any more."""
    removed = {
        "sessions": components.get(Sessions).remove_expired(),
        "letters": components.get(Letters).remove_expired(),
        "counts of failures": components.get(Credentials).remove_old_failures(),
    }
    return "removed " + ", ".join(f"{name}: {number}" for name, number in removed.items())


def send_letter(components: Components, arguments: Arguments) -> str:
    """Send one letter."""
    return "sent" if components.get(Letters).send(str(arguments["id"])) else "not sent by this job"


def send_due_letters(components: Components, arguments: Arguments) -> str:
    """Send what is still waiting."""
    return f"letters sent: {components.get(Letters).send_due()}"


JOBS = (
    Job(
        name="auth.remove-expired-tokens",
        summary="Remove API tokens that have expired",
        run=remove_expired_tokens,
        every=timedelta(hours=1),
    ),
    Job(
        name="auth.clean-up",
        summary="Remove sessions, letters and counts of failed log-ins that have expired",
        run=clean_up,
        every=timedelta(hours=1),
    ),
    Job(name=SEND, summary="Send one letter", run=send_letter),
    Job(
        name="auth.send-due-letters",
        summary="Send letters that could not be sent, or queued, when they were written",
        run=send_due_letters,
        every=timedelta(minutes=1),
    ),
)
