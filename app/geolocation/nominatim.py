"""Addresses, streets and names by a Nominatim server, through geopy. Imported only where GEOCODER says so: 0.4 s."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from geopy import exc
from geopy.adapters import URLLibAdapter
from geopy.geocoders import Nominatim

from app.errors import Unavailable
from app.geolocation.models import Country, FoundNear, Location
from app.geolocation.utils import haversine_km

logger = logging.getLogger(__name__)

ATTEMPTS = 2
PAUSE = 0.2  # seconds between two attempts
RUBBISH = (KeyError, TypeError, AttributeError, ValueError)
"""What reading an answer raises that is none; geopy does not look at it closely."""

FINAL = (
    *RUBBISH,
    exc.GeocoderQuotaExceeded,
    exc.GeocoderAuthenticationFailure,
    exc.GeocoderInsufficientPrivileges,
    exc.GeocoderQueryError,
    exc.GeocoderParseError,
)
"""What another attempt would only repeat, or make worse."""

LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a Nominatim is, how long it may take for an answer, in seconds, and as whom it is asked."""

    url: str
    timeout: float
    user_agent: str


class NominatimGeocoder:
    """Geocodes by asking a server. Raises Unavailable when there is no answer after a bounded time."""

    def __init__(self, server: Server) -> None:
        parts = urlsplit(server.url)
        self.client = Nominatim(
            domain=f"{parts.netloc}{parts.path}",
            scheme=parts.scheme,
            timeout=server.timeout,
            user_agent=server.user_agent,
            proxies={},  # of the site's own, none from variables that nobody checked
            adapter_factory=URLLibAdapter,  # the one without connections that a fork would share
        )

    def geocode(self, text: str, limit: int) -> list[Location]:
        """Return the places that ``text`` may mean, likeliest first."""

        def ask() -> list[Location]:
            found = self.client.geocode(text, exactly_one=False, limit=limit, addressdetails=True, language=LANGUAGE)
            return [location_of(entry.raw) for entry in found or ()]

        return insist(ask)[:limit]

    def reverse(self, latitude: float, longitude: float) -> FoundNear | None:
        """Return what a position is in or near, or None in the middle of nowhere."""

        def ask() -> list[Location]:
            found = self.client.reverse((latitude, longitude), exactly_one=True, language=LANGUAGE)
            return [] if found is None else [location_of(found.raw)]

        near = (
            FoundNear(found, haversine_km(latitude, longitude, found.latitude, found.longitude))
            for found in insist(ask)
        )
        return next(near, None)


def insist(ask: Callable[[], list[Location]]) -> list[Location]:
    """Ask, and once more if that may help. Raises Unavailable."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return ask()
        except (exc.GeopyError, OSError, HTTPException, *RUBBISH) as error:
            # Not its text: it may repeat what somebody is looking for.
            logger.warning("the geocoder failed: %s", type(error).__name__, extra={"attempts_left": left})
            if isinstance(error, FINAL):
                break
        if left:
            time.sleep(PAUSE)
    raise Unavailable("The service that knows addresses does not answer; try again later.")


def location_of(raw: Mapping[str, Any]) -> Location:
    """Turn an answer into a location."""
    label = text(raw["display_name"])
    address = raw.get("address") or {}
    code = text(address.get("country_code", "")).upper()
    return Location(
        name=text(raw.get("name") or label.partition(",")[0]),
        label=label,
        latitude=float(raw["lat"]),
        longitude=float(raw["lon"]),
        country=Country(code, text(address.get("country", code))) if code else None,
    )


def text(value: object) -> str:
    """Return a value as text that can be written as UTF-8."""
    return str(value).encode(errors="replace").decode()
