"""Lists of saved places, and imports into them: plain values."""

import enum
import logging
from dataclasses import dataclass, field
from datetime import datetime

logger = logging.getLogger(__name__)

MOST_PLACES = 10_000
"""What a list holds at most: one page of an export, one file of an import."""

MOST_LISTS = 500
"""What a user has at most."""


@dataclass(frozen=True, slots=True)
class PlaceList:
    """A user's list. ``version`` counts changes of its name and description, ``size`` its places.

    What people write is left out of ``repr``, and so out of logs.
    """

    id: int
    owner_id: int
    name: str = field(repr=False)
    description: str = field(repr=False)
    size: int
    version: int
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class PlaceDraft:
    """What is known of a place that is to be saved; ``place_id`` is the place of ours that it was made from."""

    name: str
    latitude: float
    longitude: float
    note: str = ""
    place_id: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """What is to become of a saved place; None leaves it as it is."""

    name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    note: str | None = None
    ordinal: int | None = None


@dataclass(frozen=True, slots=True)
class SavedPlace:
    """A place in a list. ``ordinal`` is where it stands there, from 1; ``version`` counts changes of it."""

    id: int
    list_id: int
    ordinal: int
    name: str = field(repr=False)
    note: str = field(repr=False)
    latitude: float = field(repr=False)
    longitude: float = field(repr=False)
    place_id: int | None = field(repr=False)
    version: int
    created_at: datetime
    changed_at: datetime


class Format(enum.Enum):
    """How places are written in a file."""

    CSV = "csv"
    GEOJSON = "geojson"


class State(enum.Enum):
    """How far an import is. What is queued or running will end, whatever happens to the workers."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


UNFINISHED = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Import:
    """The reading of one file into a list: ``done`` of ``total`` rows are either ``added`` or ``refused``.

    ``reason`` says why it failed; ``attempts`` counts starts since it last got on.
    """

    id: int
    list_id: int
    format: Format
    state: State
    total: int | None
    done: int
    added: int
    refused: int
    attempts: int
    reason: str
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row was refused. ``line`` is the line of the file where it begins; in GeoJSON the number of the feature."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file: a place, or why it is none."""

    line: int
    place: PlaceDraft | None
    reason: str = ""
