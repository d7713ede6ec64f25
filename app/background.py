"""The table of jobs: all that the application does by itself, or when nobody has to wait for it."""

import logging

from app.auth import jobs as auth
from app.backfills import jobs as backfills
from app.geolocation import jobs as geolocation
from app.idempotency import jobs as idempotency
from app.jobs.models import Job
from app.saved_places import jobs as saved_places

logger = logging.getLogger(__name__)

JOBS: tuple[Job, ...] = (*auth.JOBS, *backfills.JOBS, *geolocation.JOBS, *idempotency.JOBS, *saved_places.JOBS)
