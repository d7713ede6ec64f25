import sqlite3

import pytest
from werkzeug.test import Client

from app.settings import Settings

ME = {"email": "me@example.org", "name": "Me", "password": "correct horse battery"}


@pytest.fixture(autouse=True)
def _user(client: Client) -> None:
    assert client.post("/api/v1/users", json=ME).status_code == 201


def test_a_password_becomes_a_token(client: Client) -> None:
    response = client.post("/api/v1/auth/tokens", json={"email": ME["email"], "password": ME["password"]})
    assert response.status_code == 201
    assert response.json["token_type"] == "Bearer"
    headers = {"Authorization": f"Bearer {response.json['token']}"}
    assert client.get("/api/v1/users/me", headers=headers).json["name"] == "Me"


def test_the_database_has_neither_token_nor_password(client: Client, settings: Settings) -> None:
    token = client.post("/api/v1/auth/tokens", json={"email": ME["email"], "password": ME["password"]}).json["token"]
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
