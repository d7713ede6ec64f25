import re

import pytest
from werkzeug.test import Client

from app.mail.mailers import InMemoryMailer
from tests.app.conftest import PASSWORD, People

YOU = {"email": "you@example.org", "name": "You", "password": PASSWORD}
OTHER = "another horse battery"


@pytest.fixture(autouse=True)
def _me(people: People, mailer: InMemoryMailer) -> None:
    people.add()


def link(mailer: InMemoryMailer) -> str:
    found = re.search(r"/(?:verify|reset|email)/(\S+)", mailer.sent[-1].text)
    assert found
    return found[1]


def log_in(client: Client, email: str, password: str) -> int:
    return client.post("/api/v1/auth/tokens", json={"email": email, "password": password}).status_code


def test_signing_up_verifying_and_logging_in(client: Client, mailer: InMemoryMailer) -> None:
    assert client.post("/api/v1/auth/sign-ups", json=YOU).status_code == 202
    assert log_in(client, YOU["email"], PASSWORD) == 401
    secret = link(mailer)
    made = client.post("/api/v1/auth/verifications", json={"token": secret})
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/v1/users/{made.json['id']}"
    assert log_in(client, YOU["email"], PASSWORD) == 201
    assert client.post("/api/v1/auth/verifications", json={"token": secret}).status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/auth/sign-ups", "/api/v1/auth/password-resets"])
def test_a_known_address_is_answered_as_an_unknown_one(client: Client, mailer: InMemoryMailer, path: str) -> None:
    def ask(email: str) -> tuple[int, bytes, list[str]]:
        content = {**YOU, "email": email} if "sign" in path else {"email": email}
        answer = client.post(path, json=content)
        return answer.status_code, answer.data, sorted(set(answer.headers.keys()))

    assert ask("me@example.org") == ask("you@example.org")
    assert [mail.to for mail in mailer.sent] == ["me@example.org", "you@example.org"]
    assert mailer.sent[0].subject != mailer.sent[1].subject


def test_resetting_a_password(client: Client, mailer: InMemoryMailer, people: People) -> None:
    mine = people.bearer()
    client.post("/api/v1/auth/password-resets", json={"email": "me@example.org"})
    content = {"token": link(mailer), "password": OTHER}
    answer = client.post("/api/v1/auth/password-resets/confirm", json=content)
    assert (answer.status_code, answer.data) == (204, b"")
    assert [log_in(client, "me@example.org", password) for password in (PASSWORD, OTHER)] == [401, 201]
    assert client.get("/api/v1/users/me", headers=mine).status_code == 401
    assert client.post("/api/v1/auth/password-resets/confirm", json=content).status_code == 404


def test_changing_a_password(client: Client, people: People) -> None:
    path, mine = "/api/v1/users/me/password", people.bearer()
    assert client.post(path, json={"current": "wrong", "new": OTHER}, headers=mine).status_code == 403
    too_weak = client.post(path, json={"current": PASSWORD, "new": "me@example.org"}, headers=mine)
    assert too_weak.status_code == 422
    assert too_weak.json["detail"] == "The password must not be the e-mail address."
    assert client.post(path, json={"current": PASSWORD, "new": OTHER}, headers=mine).status_code == 204
    assert log_in(client, "me@example.org", OTHER) == 201


def test_changing_an_address(client: Client, people: People, mailer: InMemoryMailer) -> None:
    path, mine = "/api/v1/users/me/email", people.bearer()
    wanted = {"email": "new@example.org", "password": PASSWORD}
    assert client.post(path, json={**wanted, "password": "wrong"}, headers=mine).status_code == 403
    assert client.post(path, json=wanted, headers=mine).status_code == 202
    assert mailer.sent[-1].to == "new@example.org"
    confirm = "/api/v1/auth/email-changes/confirm"
    assert client.post(confirm, json={"token": link(mailer)}).status_code == 204
    assert client.get("/api/v1/users/me", headers=mine).json["email"] == "new@example.org"
    assert client.post(confirm, json={"token": "nonsense"}).status_code == 404


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"email": "you"}, "#/email"), ({"password": "short"}, "#/password"), ({"password": "you@example.org"}, "#")],
)
def test_what_can_not_be_signed_up_with_is_pointed_at(
    client: Client, mailer: InMemoryMailer, change: dict[str, str], pointer: str
) -> None:
    answer = client.post("/api/v1/auth/sign-ups", json={**YOU, **change})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert mailer.sent == []
