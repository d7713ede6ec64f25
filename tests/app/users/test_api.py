import pytest
from werkzeug.test import Client

from tests.app.conftest import People

ME = {"email": "me@example.org", "name": "Me", "password": "correct horse battery"}


def test_every_fault_is_pointed_at(client: Client) -> None:
    wrong = {"email": "me", "name": " ", "password": "short", "admin": True}
    response = client.post("/api/v1/auth/sign-ups", json=wrong)
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


def test_one_changes_ones_name_and_language(client: Client, people: People) -> None:
    people.add()
    mine = people.bearer()
    changed = client.put("/api/v1/users/me", json={"name": " Other ", "language": "pt-BR"}, headers=mine)
    assert (changed.json["name"], changed.json["language"]) == ("Other", "pt-BR")
    assert client.get("/api/v1/users/me", headers=mine).json == changed.json
    for wrong in ({"name": " ", "language": None}, {"name": "x", "language": "../de"}, {"name": "x"}):
        assert client.put("/api/v1/users/me", json=wrong, headers=mine).status_code == 422
    role = {"name": "x", "language": None, "role": "admin"}
    assert client.put("/api/v1/users/me", json=role, headers=mine).status_code == 422
