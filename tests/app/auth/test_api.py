import sqlite3

import pytest
import svcs
from werkzeug.test import Client

from app.auth.models import Client as Browser
from app.auth.sessions import Sessions
from app.scopes import Scope
from app.settings import Settings
from tests.app.conftest import PASSWORD, People

ME = {"email": "me@example.org", "password": PASSWORD}
BROWSER = Browser("192.0.2.1", "Lynx")


@pytest.fixture(autouse=True)
def _user(people: People) -> None:
    people.add()


def test_a_password_becomes_a_token(client: Client) -> None:
    response = client.post("/api/v1/auth/tokens", json=ME)
    assert response.status_code == 201
    assert response.json["token_type"] == "Bearer"
    headers = {"Authorization": f"Bearer {response.json['token']}"}
    assert client.get("/api/v1/users/me", headers=headers).json["name"] == "Me"


def test_the_database_has_neither_token_nor_password(client: Client, settings: Settings) -> None:
    token = client.post("/api/v1/auth/tokens", json=ME).json["token"]
    database = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))
    dump = "\n".join(database.iterdump())
    database.close()
    assert "api_tokens" in dump
    assert token not in dump
    assert ME["password"] not in dump


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "me@example.org", "password": "wrong"}, 401),
        ({"email": "you@example.org", "password": "correct horse battery"}, 401),
        ({"email": "me@example.org"}, 422),
        ({"email": "me@example.org", "password": "x" * 129}, 422),
    ],
)
def test_what_does_not_log_in(client: Client, body: dict[str, str], status: int) -> None:
    assert client.post("/api/v1/auth/tokens", json=body).status_code == status


def test_a_token_is_for_what_was_asked_and_no_admin_is_made(client: Client) -> None:
    issued = client.post("/api/v1/auth/tokens", json={**ME, "scopes": ["read"], "days": 1}).json
    assert issued["scopes"] == ["read"]
    headers = {"Authorization": f"Bearer {issued['token']}"}
    assert client.get("/api/v1/auth/tokens", headers=headers).status_code == 200
    assert client.delete("/api/v1/auth/tokens/1", headers=headers).status_code == 403
    assert client.post("/api/v1/auth/tokens", json={**ME, "scopes": ["admin"]}).status_code == 403
    assert client.post("/api/v1/auth/tokens", json={**ME, "scopes": []}).status_code == 422


def test_tokens_are_listed_and_revoked_by_their_owner(client: Client, people: People) -> None:
    people.add("you@example.org")
    mine, yours = people.bearer(), people.bearer("you@example.org")
    (entry,) = client.get("/api/v1/auth/tokens", headers=mine).json["items"]
    assert set(entry) == {"id", "name", "scopes", "created_at", "expires_at"}
    assert (entry["name"], entry["scopes"]) == ("test", ["read", "write"])
    address = f"/api/v1/auth/tokens/{entry['id']}"
    assert client.delete(address, headers=yours).status_code == 404
    assert client.delete(address, headers=mine).status_code == 204
    assert client.get("/api/v1/auth/tokens", headers=mine).status_code == 401


def test_sessions_are_listed_and_revoked_by_their_owner(
    client: Client, people: People, registry: svcs.Registry
) -> None:
    people.add("you@example.org")
    with svcs.Container(registry) as components:
        secret = components.get(Sessions).log_in(ME["email"], PASSWORD, BROWSER).secret
    (entry,) = client.get("/api/v1/auth/sessions", headers=people.bearer()).json["items"]
    assert (entry["address"], entry["user_agent"]) == ("192.0.2.1", "Lynx")
    assert secret not in str(entry)
    address = f"/api/v1/auth/sessions/{entry['id']}"
    assert client.delete(address, headers=people.bearer("you@example.org")).status_code == 404
    assert client.delete(address, headers=people.bearer(ME["email"], Scope.WRITE)).status_code == 204
    assert client.get("/api/v1/auth/sessions", headers=people.bearer()).json == {"items": []}
