"""On every endpoint there is: who may see and change whom, and how many statements it costs."""

from datetime import UTC, datetime
from typing import Any

import pytest
import svcs
from sqlalchemy import Engine, event, select
from werkzeug.test import Client

from app.auth.models import Client as Browser
from app.auth.services import Tokens
from app.auth.sessions import Sessions
from app.database.tables import metadata
from app.geolocation import dataset
from app.geolocation.seeding import seed
from app.routes import ROUTES
from app.saved_places.importing import Imports
from app.saved_places.models import Format, PlaceDraft
from app.saved_places.services import SavedPlaces
from app.scopes import Scope
from app.users.models import User
from app.web.routes import Permission, Route
from tests.app.conftest import COUNTRIES, PASSWORD, People, record

VICTIM = "victim@secret.example"
GIVEN = {
    "email": "mine@example.org",
    "name": "Changed",
    "password": PASSWORD,
    "current": PASSWORD,
    "new": "another horse battery",
    "role": "admin",
    "active": False,
    "language": "de",
    "token": "nonsense",
    "code": "000000",
    "latitude": 48.85,
    "longitude": 2.35,
}


class Ours:
    """Somebody with a session, an API token and a list of places."""

    def __init__(self, registry: svcs.Registry, client: Client, people: People) -> None:
        self.user: User = people.add(VICTIM)
        self.headers = people.bearer(VICTIM)
        with svcs.Container(registry) as components:
            session = components.get(Sessions).authenticate(
                components.get(Sessions).log_in(VICTIM, PASSWORD, Browser("192.0.2.7", "Lynx-of-victim")).secret
            )
            (token,) = components.get(Tokens).of(self.user)
        made = client.post("/api/v1/place-lists", json={"name": "Secret list"}, headers=self.headers)
        assert made.status_code == 201, made.text
        self.numbers = {
            "user_id": self.user.id,
            "session_id": session.session.id,
            "token_id": token.id,
            "list_id": made.json["id"],
            "place_id": 1,
            "code": "FR",
            "saved_id": 1,
            "import_id": 1,
        }


@pytest.fixture
def victim(registry: svcs.Registry, client: Client, people: People) -> Ours:
    return Ours(registry, client, people)


OWNERS = {"user_id": "user_id", "owner_id": "user_id", "list_id": "list_id"}
"""Columns that say whose a row is, and which of the numbers they have."""


def kept(engine: Engine, numbers: dict[str, int]) -> dict[str, list[Any]]:
    """Every row that is a user's, by table."""
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            owners = {"id": "user_id"} if table.name == "users" else OWNERS
            owned = [table.c[column] == numbers[name] for column, name in owners.items() if column in table.c]
            if owned:
                found[table.name] = [tuple(row) for row in connection.execute(select(table).where(*owned))]
    return found


def ask(client: Client, route: Route[Any], numbers: dict[str, Any], headers: dict[str, str]) -> Any:
    path = route.path
    for name in route.path_parameters:
        path = path.replace(f"{{{name}}}", str(numbers[name]))
    headers = {**headers, "If-Match": "*"}
    if route.uploads:
        kind = route.uploads[0]
        return client.open(
            path, method=route.method, data=b"name,latitude,longitude\n", content_type=kind, headers=headers
        )
    body = {name: GIVEN[name] for name in route.body_members if name in GIVEN} if route.has_json_body else None
    return client.open(path, method=route.method, json=body, headers=headers)


def test_an_ordinary_user_neither_sees_nor_changes_another(
    client: Client, people: People, victim: Ours, engine: Engine
) -> None:
    """On every route of the table, with every number in its path somebody else's."""
    people.add("mallory@example.org")
    before = kept(engine, victim.numbers)
    assert all(before[table] for table in ("users", "sessions", "api_tokens", "place_lists"))
    for route in ROUTES:
        headers = people.bearer("mallory@example.org", Scope.READ, Scope.WRITE)
        answer = ask(client, route, victim.numbers, headers)
        theirs = route.path_parameters - {"place_id", "code"}  # these are everybody's
        assert answer.status_code < 500, route.name
        if route.permission is Permission.ADMIN:
            assert answer.status_code == 403, route.name
        elif theirs:
            assert answer.status_code in {403, 404}, route.name
        for secret in ("victim", "Secret list", "192.0.2.7"):
            assert secret not in answer.text, route.name
    assert kept(engine, victim.numbers) == before


def test_a_stranger_gets_in_nowhere(client: Client, victim: Ours, engine: Engine) -> None:
    before = kept(engine, victim.numbers)
    for route in ROUTES:
        if route.permission is not Permission.PUBLIC:
            for headers in ({}, {"Authorization": "Bearer nonsense"}):
                assert ask(client, route, victim.numbers, headers).status_code == 401, route.name
    assert kept(engine, victim.numbers) == before


def test_a_token_to_look_changes_nothing(client: Client, victim: Ours, people: People) -> None:
    reading = people.bearer(VICTIM, Scope.READ)
    for route in ROUTES:
        if route.permission is Permission.SIGNED_IN and route.method != "GET":
            assert ask(client, route, victim.numbers, reading).status_code == 403, route.name


def test_there_are_routes_of_each_kind_to_walk() -> None:
    for permission in Permission:
        assert sum(route.permission is permission for route in ROUTES) >= 4


MOST_STATEMENTS = 20  # an import that is done at once
ASKED = {"q": "par", "lat": 48.85, "lon": 2.35, "south": -90, "west": -180, "north": 90, "east": 180, "limit": 50}
REMOVED_LAST = ("auth.tokens.revoke", "auth.sessions.revoke", "place-lists.remove")


class Full:
    """An admin with so many of everything that a user can have, among as many others, in a world with more places."""

    def __init__(self, registry: svcs.Registry, client: Client, people: People, many: int) -> None:
        self.email = f"has{many}@example.org"
        self.people, self.client, self.registry = people, client, registry
        self.user = people.add(self.email, admin=True)
        for number in range(many):
            people.add(f"other{number}of{many}@example.org")
        headers = people.bearer(self.email)
        with svcs.Container(registry) as components:
            for _ in range(many):
                components.get(Tokens).issue(self.email, "test")
                session = components.get(Sessions).log_in(self.email, PASSWORD, Browser("192.0.2.7", "Lynx"))
            opened = components.get(Sessions).authenticate(session.secret).session
            lists = [components.get(SavedPlaces).create_list(self.user.id, "L").id for _ in range(many)]
            saved = [
                components.get(SavedPlaces).save(self.user.id, lists[0], PlaceDraft("x", 1, 2)) for _ in range(many)
            ]
            for _ in range(many):
                began = components.get(Imports).begin(self.user.id, lists[0], Format.CSV, self.file(many))
            engine = components.get(Engine)
            token = components.get(Tokens).of(self.user)[-1]
        cities = [
            record(number, f"Paris {number}", "FR", 48.8, 2.3 + number / 99, 9_000) for number in range(1, many + 1)
        ]
        seed(engine, f"{many}", lambda: dataset.build(COUNTRIES, cities), datetime.now(UTC))
        self.engine, self.headers = engine, headers
        self.file_sent = self.file(many)
        self.numbers = {
            "user_id": self.user.id, "session_id": opened.id, "token_id": token.id, "list_id": lists[0],
            "place_id": 1, "code": "FR", "saved_id": saved[0].id, "import_id": began.id,
        }  # fmt: skip

    @staticmethod
    def file(rows: int) -> bytes:
        """A file with good and bad rows."""
        return b"name,latitude,longitude\n" + b"good,1,2\n,1,2\n" * rows

    def cost(self, route: Route[Any]) -> tuple[int, int]:
        """Return the status of a request and how many statements it took."""
        headers = {**self.people.bearer(self.email, *Scope), "If-Match": "*"}
        path = route.path
        for name in route.path_parameters:
            path = path.replace(f"{{{name}}}", str(self.numbers[name]))
        given: dict[str, Any] = {"headers": headers}
        if route.uploads:
            given |= {"data": self.file_sent, "content_type": route.uploads[0]}
        elif route.has_json_body:
            body = {
                **GIVEN,
                "email": f"new-{self.email}",
                "query": "Paris",
                "longitude": 2.5,
                "note": "n",
                "ordinal": 99,
            }
            given["json"] = {name: body[name] for name in route.body_members if name in body}
        else:
            given["query_string"] = {name: value for name, value in ASKED.items() if name in route.input.model_fields}
        made: list[str] = []

        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if not statement.startswith("BEGIN"):  # SQLite's
                made.append(statement)

        event.listen(self.engine, "before_cursor_execute", note)
        answer = self.client.open(path, method=route.method, **given)
        event.remove(self.engine, "before_cursor_execute", note)
        return answer.status_code, len(made)


def order(route: Route[Any]) -> tuple[bool, bool, bool]:
    """What reads comes first, then what adds and changes, then what removes; what much hangs on comes last."""
    return route.name in REMOVED_LAST, route.method == "DELETE", route.method != "GET"


@pytest.mark.usefixtures("mailer")
def test_no_request_asks_more_often_when_there_is_more(registry: svcs.Registry, client: Client, people: People) -> None:
    """The same requests, first with little in the database and then with much: no query is in a loop."""
    routes = sorted(ROUTES, key=order)
    little = Full(registry, client, people, 1)
    cheap = [little.cost(route) for route in routes]
    much = Full(registry, client, people, 12)
    for route, (status, few) in zip(routes, cheap, strict=True):
        same, many = much.cost(route)
        assert status == same, route.name
        assert status == 200 or route.method != "GET", f"{route.name}: nothing was counted"
        assert many <= few, f"{route.name}: {few} statements became {many}"
        assert few <= MOST_STATEMENTS, f"{route.name}: {few} statements"
