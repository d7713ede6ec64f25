"""Idempotency: the answers that are kept for those who ask the same again."""

import logging

logger = logging.getLogger(__name__)
