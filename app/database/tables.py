"""Every table there is: importing this module makes the shared metadata complete."""

import logging

from app.auth.tables import failures, letters, recovery_codes, second_factors, sessions, tokens
from app.backfills.tables import backfills
from app.database.metadata import metadata
from app.geolocation.tables import countries, datasets, geocoder_answers, place_names, places
from app.idempotency.tables import kept_answers
from app.saved_places.tables import place_import_faults, place_imports, place_lists, place_uploads, saved_places
from app.users.tables import users

logger = logging.getLogger(__name__)

__all__ = [
    "backfills",
    "countries",
    "datasets",
    "failures",
    "geocoder_answers",
    "kept_answers",
    "letters",
    "metadata",
    "place_import_faults",
    "place_imports",
    "place_lists",
    "place_names",
    "place_uploads",
    "places",
    "recovery_codes",
    "saved_places",
    "second_factors",
    "sessions",
    "tokens",
    "users",
]
