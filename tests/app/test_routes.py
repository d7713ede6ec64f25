"""Who may see and change whom, on every endpoint there is."""

from typing import Any

import pytest
import svcs
from sqlalchemy import Engine, select
from werkzeug.test import Client

from app.auth.models import Client as Browser
from app.auth.services import Tokens
from app.auth.sessions import Sessions
from app.database.tables import metadata
from app.routes import ROUTES
from app.scopes import Scope
from app.users.models import User
from app.web.routes import Permission, Route
from tests.app.conftest import PASSWORD, People

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
