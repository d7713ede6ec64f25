"""How numbers, distances, dates, positions and countries are written, in the language that is spoken."""

import logging
from datetime import datetime

from babel.dates import format_date, format_time
from babel.numbers import format_decimal

from app.languages import current_locale, pgettext

logger = logging.getLogger(__name__)


def number(value: float) -> str:
    """Return ``517,802`` or ``517.802``."""
    return str(format_decimal(value, locale=current_locale()))


def distance(km: float) -> str:
    """Return a distance with one decimal below a hundred kilometres, without above."""
    pattern = "#,##0.0" if km < 99.95 else "#,##0"
    return f"{format_decimal(km, pattern, locale=current_locale())} km"


def day(moment: datetime) -> str:
    """Return the day of a moment."""
    return format_date(moment, "medium", locale=current_locale())


def moment(value: datetime) -> str:
    """Return a moment to the minute, in UTC, and saying so: without script nobody tells us the visitor's zone."""
    return f"{day(value)}, {format_time(value, 'HH:mm', locale=current_locale())} UTC"


def latitude(degrees: float, decimals: int = 2) -> str:
    """Return ``38.73° N``."""
    return _angle(degrees, decimals, pgettext("north", "N"), pgettext("south", "S"))


def longitude(degrees: float, decimals: int = 2) -> str:
    """Return ``9.15° W``."""
    return _angle(degrees, decimals, pgettext("east", "E"), pgettext("west", "W"))


def _angle(degrees: float, decimals: int, positive: str, negative: str) -> str:
    shown = format_decimal(abs(degrees), f"0.{'#' * decimals}", locale=current_locale())
    half = positive if degrees > 0 else negative if degrees < 0 else ""
    return f"{shown}° {half}".rstrip()


def country(code: str, name: str) -> str:
    """Return what speakers of the language call a country; ``name`` is what it is called where nobody knows better."""
    return str(current_locale().territories.get(code, name))


BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser(user_agent: str) -> str:
    """Return what a person would call a browser; what calls itself otherwise is shown as it does."""
    name = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return " · ".join(filter(None, (name, system))) if name else user_agent[:60]


FILTERS = {
    "browser": browser,
    "number": number,
    "distance": distance,
    "day": day,
    "moment": moment,
    "latitude": latitude,
    "longitude": longitude,
    "country": country,
}
"""For templates, by name."""
