"""Requests that change the same thing at once, on each database: one after another, and none is lost."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

LISTS = "/api/v1/place-lists"
MANY = 12


@pytest.fixture
def mine(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


@pytest.fixture
def made(server, mine) -> str:
    """The path of a new list."""
    answer = server.ask("POST", LISTS, json.dumps({"name": "new"}).encode(), mine)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


def at_once(ask) -> list:
    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(ask, range(MANY)))


def test_of_many_changes_of_one_version_one_is_made(server, mine, made: str) -> None:
    """The others are told, and nobody's change is written over."""
    tag = server.ask("GET", made, headers=mine).headers["ETag"]

    def rename(number: int):
        return server.ask("PATCH", made, json.dumps({"name": f"by {number}"}).encode(), {**mine, "If-Match": tag})

    answers = at_once(rename)
    assert Counter(answer.status for answer in answers) == {200: 1, 412: MANY - 1}
    (winner,) = [answer.json["name"] for answer in answers if answer.status == 200]
    assert server.ask("GET", made, headers=mine).json["name"] == winner


def test_what_many_add_is_all_there_and_counted(server, mine, made: str) -> None:
    def add(number: int):
        place = {"name": f"spot {number}", "latitude": number, "longitude": 2 * number}
        return server.ask("POST", f"{made}/places", json.dumps(place).encode(), mine)

    assert Counter(answer.status for answer in at_once(add)) == {201: MANY}
    assert server.ask("GET", made, headers=mine).json["size"] == MANY
    names = {item["name"] for item in server.ask("GET", f"{made}/places?limit=100", headers=mine).json["items"]}
    assert names == {f"spot {number}" for number in range(MANY)}


def test_of_many_that_change_a_password_one_does(server, post, user, mine) -> None:
    """All know the old one; who comes second does not know the new one."""

    def change(number: int):
        wanted = {"current": "correct horse battery", "new": f"another horse battery {number}"}
        return server.ask("POST", "/api/v1/users/me/password", json.dumps(wanted).encode(), mine)

    answers = at_once(change)
    assert Counter(answer.status < 300 for answer in answers)[True] == 1, Counter(answer.status for answer in answers)
    (winner,) = [number for number, answer in enumerate(answers) if answer.status < 300]
    login = {"email": user["email"], "password": f"another horse battery {winner}"}
    assert post("/api/v1/auth/tokens", login).status == 201
