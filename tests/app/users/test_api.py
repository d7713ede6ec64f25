import pytest
from werkzeug.test import Client

ME = {"email": "me@example.org", "name": "Me", "password": "correct horse battery"}


@pytest.fixture
def token(client: Client) -> str:
    client.post("/api/v1/users", json=ME)
    return client.post("/api/v1/auth/tokens", json={"email": ME["email"], "password": ME["password"]}).json["token"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_user_is_created_and_never_shows_the_password(client: Client) -> None:
    response = client.post("/api/v1/users", json=ME)
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/users/{response.json['id']}"
    assert set(response.json) == {"id", "email", "name", "created_at"}
    assert client.post("/api/v1/users", json=ME).status_code == 409


def test_every_fault_is_pointed_at(client: Client) -> None:
    response = client.post("/api/v1/users", json={"email": "me", "name": " ", "password": "short", "admin": True})
    assert response.status_code == 422
    faults = {fault["pointer"]: fault["detail"] for fault in response.json["errors"]}
    assert set(faults) == {"#/email", "#/name", "#/password", "#/admin"}
    assert faults["#/email"] == "not an e-mail address"
    assert "short" not in response.text.replace("shorter", ""), "input is not repeated"


def test_one_sees_oneself_and_nobody_else(client: Client, token: str) -> None:
    me = client.get("/api/v1/users/me", headers=bearer(token)).json
    assert me["email"] == ME["email"]
    assert client.get(f"/api/v1/users/{me['id']}", headers=bearer(token)).json == me
    assert client.get("/api/v1/users/999", headers=bearer(token)).status_code == 403


@pytest.mark.parametrize("path", ["/api/v1/users/me", "/api/v1/users/1"])
def test_strangers_see_nobody(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
