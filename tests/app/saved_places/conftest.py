"""Lists of two users, in memory and in databases."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import svcs
from sqlalchemy import Engine
from werkzeug.test import Client, TestResponse

from app.auth.services import Tokens
from app.clock import FixedClock
from app.database.session import Session
from app.database.transaction import InMemoryTransaction, Transaction
from app.geolocation.dataset import Dataset
from app.geolocation.repository import InMemoryPlaceRepository
from app.geolocation.seeding import seed
from app.geolocation.services import Places
from app.jobs.models import Arguments
from app.saved_places.import_repository import ImportRepository, InMemoryImportRepository, SqlImportRepository
from app.saved_places.importing import Imports
from app.saved_places.repository import InMemorySavedPlaceRepository, SavedPlaceRepository, SqlSavedPlaceRepository
from app.saved_places.services import SavedPlaces
from app.users.repository import SqlUserRepository

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ANA, BEN = 1, 2


class Asked:
    """A queue that keeps what it was asked, or is away."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Arguments]] = []
        self.away = False

    def enqueue(self, name: str, arguments: Arguments | None = None) -> None:
        """Keep it."""
        if self.away:
            raise OSError("the broker is away")
        self.jobs.append((name, arguments or {}))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def queue() -> Asked:
    return Asked()


@pytest.fixture
def users(engine: Engine) -> None:
    """Ana is 1, Ben is 2."""
    with Session(engine) as session:
        for name in ("ana", "ben"):
            SqlUserRepository(session).add(f"{name}@example.org", name, "none", NOW)
        session.commit()


@pytest.fixture
def adapter() -> str:
    """What keeps lists; a module overrides this to run on databases as well."""
    return "memory"


@pytest.fixture
def transaction(request: pytest.FixtureRequest, adapter: str) -> Transaction:
    if adapter == "memory":
        return InMemoryTransaction()
    request.getfixturevalue("users")
    session: Session = request.getfixturevalue("session")
    return session


@pytest.fixture
def repository(transaction: Transaction) -> SavedPlaceRepository:
    return SqlSavedPlaceRepository(transaction) if isinstance(transaction, Session) else InMemorySavedPlaceRepository()


@pytest.fixture
def import_repository(transaction: Transaction) -> ImportRepository:
    return SqlImportRepository(transaction) if isinstance(transaction, Session) else InMemoryImportRepository()


@pytest.fixture
def saved(repository: SavedPlaceRepository, transaction: Transaction, clock: FixedClock, atlas: Dataset) -> SavedPlaces:
    return SavedPlaces(repository, Places(InMemoryPlaceRepository(atlas.places)), transaction, clock)


@pytest.fixture
def imports(
    saved: SavedPlaces,
    repository: SavedPlaceRepository,
    import_repository: ImportRepository,
    transaction: Transaction,
    queue: Asked,
    clock: FixedClock,
) -> Imports:
    return Imports(saved, repository, import_repository, transaction, queue, clock, timedelta(seconds=90))


OpenSaved = Callable[[], AbstractContextManager[SavedPlaces]]


@pytest.fixture
def open_saved(engine: Engine, users: None, clock: FixedClock) -> OpenSaved:
    """Give use cases with a session of their own, as each request has one."""

    @contextmanager
    def make() -> Iterator[SavedPlaces]:
        with Session(engine) as session:
            places = Places(InMemoryPlaceRepository([]))
            yield SavedPlaces(SqlSavedPlaceRepository(session), places, session, clock)

    return make


class Api:
    """The application, asked with somebody's token."""

    def __init__(self, client: Client, token: str) -> None:
        self.client, self.token = client, token

    def open(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **given: Any) -> TestResponse:
        """Ask."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return self.client.open(path, method=method, headers=sent, **given)

    def get(self, path: str, **given: Any) -> TestResponse:
        """Read."""
        return self.open(path, **given)

    def post(self, path: str, **given: Any) -> TestResponse:
        """Add."""
        return self.open(path, "POST", **given)

    def patch(self, path: str, **given: Any) -> TestResponse:
        """Change."""
        return self.open(path, "PATCH", **given)

    def delete(self, path: str, **given: Any) -> TestResponse:
        """Remove."""
        return self.open(path, "DELETE", **given)


def token_of(registry: svcs.Registry, name: str) -> str:
    with svcs.Container(registry) as components:
        return components.get(Tokens).issue(f"{name}@example.org", "test").secret


@pytest.fixture
def ana(client: Client, registry: svcs.Registry, users: None) -> Api:
    return Api(client, token_of(registry, "ana"))


@pytest.fixture
def ben(client: Client, registry: svcs.Registry, users: None) -> Api:
    return Api(client, token_of(registry, "ben"))


@pytest.fixture
def places(engine: Engine, atlas: Dataset) -> None:
    """The places of the atlas, in the database."""
    seed(engine, "atlas", lambda: atlas, NOW)
