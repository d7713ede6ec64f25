"""Jobs of idempotency."""

import logging
from datetime import timedelta

from app.idempotency.services import Answers
from app.jobs.models import Arguments, Components, Job

logger = logging.getLogger(__name__)


def remove_old_answers(components: Components, arguments: Arguments) -> str:
    """Remove what nobody will ask for any more."""
    removed = components.get(Answers).remove_old()
    return f"{removed} kept answer{'s' * (removed != 1)} removed"


JOBS = (
    Job(
        name="idempotency.remove-old-answers",
        summary="Remove answers that were kept for a day",
        run=remove_old_answers,
        every=timedelta(hours=1),
    ),
)
