"""Every table there is: importing this module makes the shared metadata complete."""

import logging

from app.auth.tables import tokens
from app.database.metadata import metadata
from app.geolocation.tables import countries, datasets, place_names, places
from app.users.tables import users

logger = logging.getLogger(__name__)

__all__ = ["countries", "datasets", "metadata", "place_names", "places", "tokens", "users"]
