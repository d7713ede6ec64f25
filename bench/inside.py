"""What finds places, in this process, on each database, with all places and with ten times as many."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine, text

from app.clock import SystemClock
from app.database.bulk import look
from app.database.engine import make_engine
from app.database.migrate import upgrade
from app.database.session import Session
from app.database.target import Target
from app.geolocation import dataset, seeding
from app.geolocation.repository import SqlPlaceRepository
from app.geolocation.services import Places
from app.geolocation.tables import datasets
from app.geolocation.utils import Area
from tests.support import mariadb, postgres

ASKED = 400
ATTEMPTS = 3
COPIES = 9
FARTHER = 20_000_000
"""Above the highest id of GeoNames."""

PLACES = (
    "id", "name", "country_code", "admin1_code", "latitude", "longitude", "meridian", "x", "y", "z", "population",
    "tier", "timezone", "part_of", "checksum",
)  # fmt: skip


def p99s(engine: Engine) -> dict[str, float]:
    """Return the p99 of each kind of question, in seconds: what people type, letter by letter, and where they are."""
    chance = random.Random(1)  # noqa: S311 - the same questions each time
    with Session(engine) as session:
        columns = "name, country_code, latitude, longitude"
        rows = session.execute(text(f"SELECT {columns} FROM places ORDER BY id LIMIT 20000")).all()  # noqa: S608
    some = chance.sample(rows, ASKED)
    words = [row.name[: chance.randint(1, 6)] for row in some]
    anywhere = [(chance.uniform(-90, 90), chance.uniform(-180, 180)) for _ in some]
    areas = [around(row.latitude, row.longitude, 10 ** chance.uniform(-1, 2)) for row in some]
    countries = [row.country_code for row in some]
    return {
        "search": p99(engine, lambda places, row: places.search(row, 10), words),
        "nearest": p99(engine, lambda places, row: places.nearest(row.latitude, row.longitude, 5), some),
        "nearest to anywhere": p99(engine, lambda places, here: places.nearest(*here, 5), anywhere),
        "search in a country": p99(
            engine, lambda places, pair: places.search(pair[0], 10, pair[1]), list(zip(words, countries, strict=True))
        ),
        "a country": p99(engine, lambda places, code: places.in_country(code, None, 20), countries),
        "an area": p99(engine, lambda places, area: places.within(area, 50), areas),
    }


def around(latitude: float, longitude: float, degrees: float) -> Area:
    """Return what a map shows, of whatever size."""
    south, north = max(-90.0, latitude - degrees), min(90.0, latitude + degrees)
    return Area(south, max(-180.0, longitude - degrees), north, min(180.0, longitude + degrees))


def p99(engine: Engine, ask: Callable[[Places, object], object], given: Sequence[object]) -> float:
    """Ask each question in a session of its own, as a request does: the best of three, or neighbours are measured."""

    def once(question: object) -> float:
        started = time.perf_counter()
        with Session(engine) as session:
            ask(Places(SqlPlaceRepository(session)), question)
        return time.perf_counter() - started

    for question in given[:20]:
        once(question)
    taken = sorted(min(once(question) for _ in range(ATTEMPTS)) for question in given)
    return taken[int(len(taken) * 0.99)]


def multiply(engine: Engine) -> None:
    """Make ten places of each one, in the same spot and by the same names."""
    columns = ", ".join(PLACES[1:])
    for number in range(1, COPIES + 1):
        with engine.begin() as connection:
            connection.execute(
                text(f"INSERT INTO places (id, {columns}) SELECT id + :by, {columns} FROM places WHERE id < :first"),  # noqa: S608
                {"by": number * FARTHER, "first": FARTHER},
            )
            connection.execute(
                text(
                    "INSERT INTO place_names (place_id, name, tier, population)"
                    " SELECT place_id + :by, name, tier, population FROM place_names WHERE place_id < :first"
                ),
                {"by": number * FARTHER, "first": FARTHER},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        look(connection, datasets)


def fill(target: Target) -> Target:
    """Make schema and rows."""
    engine = make_engine(target)
    seeding.seed(engine, dataset.fingerprint(), dataset.read, SystemClock().now())
    engine.dispose()
    return target


@contextlib.contextmanager
def filled(kind: str, folder: Path) -> Iterator[Target]:
    """Give a database of a kind that has all places, as the one that owns it."""
    if kind == "sqlite":
        target = Target(f"sqlite:///{folder}/inside.sqlite3")
        upgrade(target)
        yield fill(target)
        return
    support = postgres if kind == "postgresql" else mariadb
    with support.folder() if kind == "postgresql" else postgres.folder(mariadb.FOLDER) as place:
        support.make_data(place / "data")
        with support.running(place / "data") as server:
            if kind == "postgresql":
                server.make_roles("bench")
                target = Target(server.url("bench", postgres.OWNER), statement_timeout=0)
            else:
                server.set_password()
                server.make("bench")
                target = Target(server.url("bench"), statement_timeout=0)
            upgrade(target)
            yield fill(target)


def measure(kind: str, folder: Path, *, ten_times: bool) -> Iterator[tuple[str, dict[str, float]]]:
    """Give what each size of the table takes."""
    with filled(kind, folder) as target:
        engine = make_engine(target)
        try:
            yield "all places", p99s(engine)
            if ten_times:
                multiply(engine)
                yield "ten times as many", p99s(engine)
        finally:
            engine.dispose()
    shutil.rmtree(folder / "inside", ignore_errors=True)
