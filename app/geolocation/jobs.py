"""Jobs of geolocation."""

import logging
from datetime import timedelta

from app.clock import Clock
from app.database.transaction import Transaction
from app.geolocation.answers import GeocoderAnswers
from app.jobs.models import Arguments, Components, Job

logger = logging.getLogger(__name__)


def remove_expired_answers(components: Components, arguments: Arguments) -> str:
    """Forget what a geocoder said long ago."""
    clock = components.get(Clock)  # type: ignore[type-abstract]
    removed = components.get(GeocoderAnswers).remove_expired(clock.now())  # type: ignore[type-abstract]
    components.get(Transaction).commit()  # type: ignore[type-abstract]
    return f"{removed} expired answer{'s' * (removed != 1)} removed"


JOBS = (
    Job(
        name="geolocation.remove-expired-answers",
        summary="Forget answers of a geocoder that have expired",
        run=remove_expired_answers,
        every=timedelta(hours=1),
    ),
)
