"""Saved places: lists of places that a user keeps, brings in from files and takes out as files."""

import logging

logger = logging.getLogger(__name__)
