"""Geolocation: places by name and by position."""

import logging

logger = logging.getLogger(__name__)
