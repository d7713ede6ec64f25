import pytest
from werkzeug.test import Client

from app.scopes import Scope
from tests.app.conftest import People

ME = {"email": "me@example.org", "name": "Me", "password": "correct horse battery"}


@pytest.fixture
def admin(people: People) -> dict[str, str]:
    people.add("admin@example.org", admin=True)
    return people.bearer("admin@example.org", Scope.ADMIN, Scope.READ)


def test_an_admin_creates_a_user_and_the_password_is_never_shown(client: Client, admin: dict[str, str]) -> None:
    response = client.post("/api/v1/users", json=ME, headers=admin)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/users/{response.json['id']}"
    assert set(response.json) == {"id", "email", "name", "role", "active", "language", "created_at", "last_login_at"}
    assert client.post("/api/v1/users", json=ME, headers=admin).status_code == 409


def test_nobody_else_creates_users(client: Client, people: People) -> None:
    people.add("you@example.org")
    assert client.post("/api/v1/users", json=ME).status_code == 401
    assert client.post("/api/v1/users", json=ME, headers=people.bearer("you@example.org")).status_code == 403


def test_every_fault_is_pointed_at(client: Client, admin: dict[str, str]) -> None:
    wrong = {"email": "me", "name": " ", "password": "short", "admin": True}
    response = client.post("/api/v1/users", json=wrong, headers=admin)
    assert response.status_code == 422
    faults = {fault["pointer"]: fault["detail"] for fault in response.json["errors"]}
    assert set(faults) == {"#/email", "#/name", "#/password", "#/admin"}
    assert faults["#/email"] == "not an e-mail address"
    assert "short" not in response.text.replace("shorter", ""), "input is not repeated"


def test_one_sees_oneself_and_nobody_else(client: Client, people: People) -> None:
    people.add()
    mine = people.bearer()
    me = client.get("/api/v1/users/me", headers=mine).json
    assert me["email"] == ME["email"]
    assert client.get(f"/api/v1/users/{me['id']}", headers=mine).json == me
    assert client.get("/api/v1/users/999", headers=mine).status_code == 403


@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/users/1"])
def test_strangers_see_nobody(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
