"""Backfills: what fills new columns of old rows, in batches, beside the users. They are no migrations."""

import logging

logger = logging.getLogger(__name__)
