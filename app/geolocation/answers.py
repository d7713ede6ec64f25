"""Answers of a geocoder, kept until they expire: in the database, so that all processes share them.

In a process they would be forgotten with each deploy, and asked for once in each worker of each host; the services
that are asked allow one question a second or so. What was asked is kept as a digest only.
"""

import dataclasses
import hashlib
import json
import logging
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.clock import Clock
from app.database.session import Session
from app.database.transaction import Transaction
from app.geolocation.geocoding import Geocoder
from app.geolocation.models import Country, FoundNear, Location
from app.geolocation.tables import geocoder_answers

logger = logging.getLogger(__name__)

NOTHING_FOR = timedelta(hours=1)
"""How long "there is no such place" is kept: tomorrow somebody may have mapped it."""

DECIMALS = 5  # of a degree: a metre


class GeocoderAnswers(Protocol):
    """Keeps answers as text, each under a digest of its question."""

    def get(self, key: str, now: datetime) -> str | None:
        """Return an answer that has not expired, or None."""
        ...

    def put(self, key: str, answer: str, expires_at: datetime) -> None:
        """Keep an answer, in the place of the one before."""
        ...

    def remove_expired(self, now: datetime) -> int:
        """Forget what has expired, and return how many."""
        ...


class SqlGeocoderAnswers:
    """Answers in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, key: str, now: datetime) -> str | None:
        """Return an answer that has not expired, or None."""
        fresh = (geocoder_answers.c.key == key) & (geocoder_answers.c.expires_at > now)
        found: str | None = self.session.execute(select(geocoder_answers.c.answer).where(fresh)).scalar_one_or_none()
        return found

    def put(self, key: str, answer: str, expires_at: datetime) -> None:
        """Keep an answer, in the place of the one before. Of two who bring the same at once one does it."""
        row = {"answer": answer, "expires_at": expires_at}
        if self.session.execute(update(geocoder_answers).where(geocoder_answers.c.key == key).values(row)).rowcount:
            return
        try:
            with self.session.savepoint():
                self.session.execute(insert(geocoder_answers).values(key=key, **row))
        except IntegrityError:
            logger.debug("somebody else has kept the same answer")

    def remove_expired(self, now: datetime) -> int:
        """Forget what has expired, and return how many."""
        return self.session.execute(delete(geocoder_answers).where(geocoder_answers.c.expires_at <= now)).rowcount


class InMemoryGeocoderAnswers:
    """Answers in a dictionary."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, datetime]] = {}

    def get(self, key: str, now: datetime) -> str | None:
        """Return an answer that has not expired, or None."""
        answer, expires_at = self.answers.get(key, ("", now))
        return answer if expires_at > now else None

    def put(self, key: str, answer: str, expires_at: datetime) -> None:
        """Keep an answer, in the place of the one before."""
        self.answers[key] = (answer, expires_at)

    def remove_expired(self, now: datetime) -> int:
        """Forget what has expired, and return how many."""
        expired = [key for key, (_, expires_at) in self.answers.items() if expires_at <= now]
        for key in expired:
            del self.answers[key]
        return len(expired)


class RememberingGeocoder:
    """Asks another geocoder only what has not been asked lately. What fails is not remembered.

    ``service`` says whose answers these are: another one's are others.
    """

    def __init__(
        self,
        geocoder: Geocoder,
        answers: GeocoderAnswers,
        transaction: Transaction,
        clock: Clock,
        *,
        service: str,
        keep: timedelta,
    ) -> None:
        self.geocoder = geocoder
        self.answers = answers
        self.transaction = transaction
        self.clock = clock
        self.service = service
        self.keep = keep

    def geocode(self, text: str, limit: int) -> list[Location]:
        """Return the places that ``text`` may mean, likeliest first."""
        words = " ".join(text.split()).casefold()
        key = self._key("geocode", words, limit)
        known = self._known(key)
        if known is None:
            known = [as_data(location) for location in self.geocoder.geocode(text, limit)]
            self._keep(key, known)
        return [location_from(data) for data in known]

    def reverse(self, latitude: float, longitude: float) -> FoundNear | None:
        """Return what a position is in or near, or None in the middle of nowhere."""
        key = self._key("reverse", round(latitude, DECIMALS), round(longitude, DECIMALS))
        known = self._known(key)
        if known is None:
            found = self.geocoder.reverse(latitude, longitude)
            known = [] if found is None else [as_data(found.location), found.distance_km]
            self._keep(key, known)
        return FoundNear(location_from(known[0]), known[1]) if known else None

    def _known(self, key: str) -> list[Any] | None:
        answer = self.answers.get(key, self.clock.now())
        self.transaction.commit()  # none is open while somebody else's server is asked
        return None if answer is None else list(json.loads(answer))

    def _keep(self, key: str, answer: list[Any]) -> None:
        keep = self.keep if answer else min(self.keep, NOTHING_FOR)
        self.answers.put(key, json.dumps(answer, ensure_ascii=False), self.clock.now() + keep)
        self.transaction.commit()

    def _key(self, *question: object) -> str:
        return hashlib.sha256(json.dumps([self.service, *question]).encode()).hexdigest()


def as_data(location: Location) -> dict[str, Any]:
    """Write a location as JSON can say it. Places of ours are none of a service's answers."""
    return {**dataclasses.asdict(location), "place": None}


def location_from(data: dict[str, Any]) -> Location:
    """Read it again."""
    country = data["country"]
    return Location(**{**data, "country": Country(**country) if country else None})
