"""The tables of places, and why each index has the shape it has."""

import logging

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from app.database.metadata import metadata
from app.database.types import UtcDateTime, by_code_point

logger = logging.getLogger(__name__)

countries = Table(
    "countries",
    metadata,
    Column("code", String(2), primary_key=True),
    Column("name", String(100), nullable=False),
)

places = Table(
    "places",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # GeoNames' own
    Column("name", String(200), nullable=False),
    Column("country_code", ForeignKey("countries.code"), nullable=False),
    Column("admin1_code", String(20), nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    # Derived from the position for the index below: floor(longitude), and the unit vector from the earth's centre.
    Column("meridian", Integer, nullable=False),
    Column("x", Float, nullable=False),
    Column("y", Float, nullable=False),
    Column("z", Float, nullable=False),
    Column("population", Integer, nullable=False),
    # 0 for the largest: utils.tier. Rows from before this column are of the last one until they are loaded anew: what
    # is sorted by it and by population comes in the same order, only not as soon.
    Column("tier", Integer, nullable=False, server_default="4"),
    Column("timezone", String(64), nullable=False),
    Column("part_of", Integer),  # id of the city whose quarter this is
    Column("checksum", String(32), nullable=False),  # of everything we know of it, names included
)
# For the nearest place: a box is a few whole degrees of longitude and a range of latitudes, and with this index each
# degree is one seek that reads only what is inside. It holds the vectors, too, whose dot product gives the order of
# distances without a trigonometric function, which not every database has, and what tells quarters from towns.
Index(
    "ix_places_position",
    places.c.meridian,
    places.c.latitude,
    places.c.x,
    places.c.y,
    places.c.z,
    places.c.part_of,
)

# For the largest places in a rectangle, of whatever size: one seek per tier and degree, and as in the search below no
# look at small places once enough large ones are found.
Index(
    "ix_places_area",
    places.c.tier,
    places.c.meridian,
    places.c.latitude,
    places.c.longitude,
    places.c.population,
)
# For a country's places, largest first.
Index("ix_places_country", places.c.country_code, places.c.population)

place_names = Table(
    "place_names",
    metadata,
    Column("place_id", ForeignKey("places.id", ondelete="CASCADE"), primary_key=True),
    Column("name", by_code_point(200), primary_key=True),  # normalised: utils.normalise
    Column("tier", Integer, nullable=False),  # 0 for the largest places: utils.tier
    Column("population", Integer, nullable=False),
    sqlite_with_rowid=False,
)
# For search by prefix, largest first: one seek per tier, and no need to look at small places (most of them) once
# enough large ones are found. It holds all that the query needs.
Index(
    "ix_place_names_search",
    place_names.c.tier,
    place_names.c.name,
    place_names.c.population,
    place_names.c.place_id,
)

datasets = Table(
    "datasets",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("loaded_at", UtcDateTime, nullable=False),
)

# What a geocoder of somebody else's has answered: app.geolocation.answers.
geocoder_answers = Table(
    "geocoder_answers",
    metadata,
    Column("key", String(64), primary_key=True),  # digest of the question
    Column("answer", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
