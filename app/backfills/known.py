"""The table of backfills that this release knows."""

import logging

from app.backfills.backfill import Backfill
from app.users import backfills as users

logger = logging.getLogger(__name__)

BACKFILLS: tuple[Backfill, ...] = (*users.BACKFILLS,)
