"""Configuration: environment variables, parsed once into one typed, frozen object."""

import logging

from app.settings.errors import InvalidSettings, Problem
from app.settings.model import Settings

logger = logging.getLogger(__name__)

__all__ = ["InvalidSettings", "Problem", "Settings"]
