"""Logging: one configuration for the whole process, and the request that a line belongs to."""

import logging

from app.logs.config import configure_logging

logger = logging.getLogger(__name__)

__all__ = ["configure_logging"]
