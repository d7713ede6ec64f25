"""Fixtures of the app's tests: settings, a fresh migrated database, a handful of places, an application."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import svcs
from sqlalchemy import Engine
from werkzeug.test import Client

from app.application import Application, create_app
from app.auth.models import DEFAULT_SCOPES
from app.auth.passwords import Argon2Hasher, PasswordHasher
from app.auth.services import Tokens
from app.components import build_registry
from app.database.engine import make_engine
from app.database.migrate import upgrade
from app.database.session import Session
from app.database.target import Target
from app.geolocation import dataset
from app.geolocation.seeding import seed
from app.mail.mailers import InMemoryMailer, Mailer
from app.scopes import Scope
from app.settings import Settings
from app.users.models import Role, User
from app.users.repository import UserRepository
from app.users.services import Users
from tests.support.browsing import Browser
from tests.support.mariadb import Server
from tests.support.postgres import OWNER, Cluster

PASSWORD = "correct horse battery staple"
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
    upgrade(Target(f"sqlite:///{path}"))
    return path


@pytest.fixture
def database() -> str:
    """Which kind of database the other fixtures are of; a module overrides this to run on each of DATABASES."""
    return "sqlite"


@pytest.fixture
def target(request: pytest.FixtureRequest, database: str) -> Iterator[Target]:
    """A migrated database of this test's own, as the role that the application has."""
    if database == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        cluster.clone("empty", "own")
        yield Target(cluster.url("own"))
        cluster.drop("own")
    elif database == "mariadb":
        server: Server = request.getfixturevalue("mariadb")
        server.clone("empty", "own")
        yield Target(server.url("own"))
        server.drop("own")
    else:
        path = request.getfixturevalue("tmp_path") / "gazetteer.sqlite3"
        shutil.copy(request.getfixturevalue("empty_schema"), path)
        yield Target(f"sqlite:///{path}")


@pytest.fixture
def owner(request: pytest.FixtureRequest, database: str, target: Target) -> Target:
    """The same database, as the role that may change its schema."""
    if database == "postgresql":
        return Target(request.getfixturevalue("postgres").url("own", OWNER))
    return target


@pytest.fixture
def environ(target: Target) -> dict[str, str]:
    """The variables of a valid environment."""
    return {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": target.url}


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.from_environ(environ)


@pytest.fixture
def engine(target: Target) -> Iterator[Engine]:
    engine = make_engine(target)
    yield engine
    engine.dispose()


@pytest.fixture
def owner_engine(owner: Target) -> Iterator[Engine]:
    engine = make_engine(owner)
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


@pytest.fixture
def browser(client: Client) -> Browser:
    """Somebody who has just come, and whose browser asks for English."""
    return Browser(client)


@pytest.fixture
def seeded(engine: Engine, atlas: dataset.Dataset) -> None:
    """Put the handful of places into the database."""
    seed(engine, "atlas", lambda: atlas, datetime.now(UTC))


@pytest.fixture
def ada(registry: svcs.Registry) -> User:
    """Somebody with an account: ``ada@example.org``, PASSWORD."""
    with svcs.Container(registry) as components:
        return components.get(Users).create("ada@example.org", "Ada", PASSWORD)


@pytest.fixture
def inside(browser: Browser, ada: User) -> Browser:
    """Ada's browser, logged in."""
    assert browser.log_in(ada.email, PASSWORD).status == 303
    return browser


class People:
    """Makes users and signs them in, without a mail."""

    def __init__(self, registry: svcs.Registry) -> None:
        self.registry = registry

    def add(self, email: str = "me@example.org", *, admin: bool = False) -> User:
        """Add a user whose password is PASSWORD."""
        with svcs.Container(self.registry) as components:
            user = components.get(Users).create(email, email.partition("@")[0].title(), PASSWORD)
            if admin:
                components.get(UserRepository).change(user.id, role=Role.ADMIN)
                components.get(Session).commit()
            return user

    def bearer(self, email: str = "me@example.org", *scopes: Scope) -> dict[str, str]:
        """Return the headers of a request by a user."""
        with svcs.Container(self.registry) as components:
            issued = components.get(Tokens).issue(email, "test", scopes=frozenset(scopes) or DEFAULT_SCOPES)
        return {"Authorization": f"Bearer {issued.secret}"}


@pytest.fixture
def people(registry: svcs.Registry) -> People:
    return People(registry)


@pytest.fixture
def mailer(registry: svcs.Registry) -> InMemoryMailer:
    """What the application's mail goes to; jobs are done at once, so it is there when a request is answered."""
    mailer = InMemoryMailer()
    registry.register_value(Mailer, mailer)
    return mailer
