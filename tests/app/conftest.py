"""Fixtures of the app's tests: settings, a fresh migrated database, a handful of places, an application."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import svcs
from sqlalchemy import Engine
from werkzeug.test import Client

from app.application import Application, create_app
from app.auth.passwords import Argon2Hasher, PasswordHasher
from app.components import build_registry
from app.database.engine import make_engine
from app.database.migrate import upgrade
from app.database.session import Session
from app.geolocation import dataset
from app.settings import Settings

SECRET_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"

COUNTRIES = [
    {"iso": code, "name": name}
    for code, name in (("FR", "France"), ("PT", "Portugal"), ("US", "United States"), ("FJ", "Fiji"))
]


def record(
    number: int, name: str, country: str, lat: float, lon: float, population: int, *names: str, admin: str = "1"
) -> dict[str, Any]:
    """A record as the dataset has it."""
    return {
        "geonameid": number,
        "name": name,
        "countrycode": country,
        "latitude": lat,
        "longitude": lon,
        "population": population,
        "timezone": "Etc/UTC",
        "admin1code": admin,
        "alternatenames": list(names),
    }


CITIES = [
    record(1, "Paris", "FR", 48.85341, 2.3488, 2_138_551, "Lutetia", "Париж", admin="11"),
    record(2, "Paris 04 Hôtel-de-Ville", "FR", 48.8598, 2.3506, 27_332, admin="11"),
    record(3, "Montrouge", "FR", 48.8162, 2.3139, 48_000, admin="11"),
    record(4, "Lisbon", "PT", 38.72509, -9.1498, 517_802, "Lisboa", "Lissabon", admin="14"),
    record(5, "Lisbon", "US", 44.03146, -70.1045, 9_392, admin="ME"),
    record(6, "Paris", "US", 33.66094, -95.55551, 24_782, admin="TX"),
    record(7, "Levuka", "FJ", -17.4, 178.9, 8_360),
    record(8, "Waiyevo", "FJ", -16.79, -179.98, 5_000),
]


@pytest.fixture
def atlas() -> dataset.Dataset:
    """A handful of places: two Parises, two Lisbons, a quarter, a suburb, one on each side of the antimeridian."""
    return dataset.build(COUNTRIES, CITIES)


@pytest.fixture(scope="session")
def empty_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows, to be copied."""
    path = tmp_path_factory.mktemp("schema") / "empty.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database_url(empty_schema: Path, tmp_path: Path) -> str:
    """The URL of a migrated database of this test's own."""
    path = tmp_path / "gazetteer.sqlite3"
    shutil.copy(empty_schema, path)
    return f"sqlite:///{path}"


@pytest.fixture
def environ(database_url: str) -> dict[str, str]:
    """The variables of a valid environment."""
    return {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": database_url}


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.from_environ(environ)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def registry(settings: Settings) -> Iterator[svcs.Registry]:
    with build_registry(settings) as registry:
        registry.register_value(PasswordHasher, Argon2Hasher(memory_kib=64))
        yield registry


@pytest.fixture
def application(settings: Settings, registry: svcs.Registry) -> Application:
    return create_app(settings, registry)


@pytest.fixture
def client(application: Application) -> Client:
    """Calls the whole application, middleware included, in this process."""
    return Client(application)
