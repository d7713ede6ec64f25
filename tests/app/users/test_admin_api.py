import pytest
from werkzeug.test import Client

from app.scopes import Scope
from tests.app.conftest import PASSWORD, People

USERS = "/api/v1/admin/users"


@pytest.fixture
def admin(people: People) -> dict[str, str]:
    people.add("admin@example.org", admin=True)
    return people.bearer("admin@example.org", Scope.ADMIN)


def test_users_are_listed_page_by_page(client: Client, people: People, admin: dict[str, str]) -> None:
    for name in ("c", "a", "b"):
        people.add(f"{name}@example.org")
    seen, address = [], f"{USERS}?limit=3&sort=-email"
    page = client.get(address, headers=admin).json
    seen += [user["email"] for user in page["items"]]
    page = client.get(f"{address}&cursor={page['next']}", headers=admin).json
    seen += [user["email"] for user in page["items"]]
    assert seen == [f"{name}@example.org" for name in ("c", "b", "admin", "a")]
    assert page["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=ADMIN", ["admin"]),
        ("role=user", ["a", "b"]),
        ("active=false", ["b"]),
        ("role=user&active=true&sort=-name", ["a"]),
        ("q=%25", []),
    ],
)
def test_users_are_found(client: Client, people: People, admin: dict[str, str], query: str, found: list[str]) -> None:
    people.add("a@example.org")
    other = people.add("b@example.org")
    client.patch(f"{USERS}/{other.id}", json={"active": False}, headers=admin)
    items = client.get(f"{USERS}?{query}", headers=admin).json["items"]
    assert [user["email"].partition("@")[0] for user in items] == found


def test_a_user_is_changed_and_what_is_left_out_stays(client: Client, people: People, admin: dict[str, str]) -> None:
    user = people.add()
    address = f"{USERS}/{user.id}"
    changed = client.patch(address, json={"name": " Other ", "language": "de"}, headers=admin).json
    assert (changed["name"], changed["language"], changed["email"]) == ("Other", "de", user.email)
    assert client.patch(address, json={"language": None}, headers=admin).json["language"] is None
    assert client.patch(address, json={}, headers=admin).json["name"] == "Other"
    assert client.get(address, headers=admin).json["role"] == "user"
    assert client.get(f"{USERS}/999", headers=admin).status_code == 404
    assert client.patch(address, json={"email": "admin@example.org"}, headers=admin).status_code == 409
    assert client.patch(address, json={"password": "x"}, headers=admin).status_code == 422


def test_who_is_deactivated_is_out(client: Client, people: People, admin: dict[str, str]) -> None:
    user = people.add()
    mine = people.bearer()
    assert client.get("/api/v1/users/me", headers=mine).status_code == 200
    client.patch(f"{USERS}/{user.id}", json={"active": False}, headers=admin)
    assert client.get("/api/v1/users/me", headers=mine).status_code == 401
    client.patch(f"{USERS}/{user.id}", json={"active": True}, headers=admin)
    assert client.get("/api/v1/users/me", headers=mine).status_code == 401, "the token is gone"


def test_an_admin_creates_a_user_and_the_password_is_never_shown(client: Client, admin: dict[str, str]) -> None:
    new = {"email": "new@example.org", "name": "New", "password": PASSWORD}
    response = client.post(USERS, json=new, headers=admin)
    assert response.status_code == 201
    assert client.get(response.headers["Location"], headers=admin).json == response.json
    assert PASSWORD not in response.text
    assert "hash" not in response.text
    assert client.post(USERS, json=new, headers=admin).status_code == 409
    token = {"email": "new@example.org", "password": PASSWORD}
    assert client.post("/api/v1/auth/tokens", json=token).status_code == 201


def test_an_admin_needs_a_token_that_is_for_it(client: Client, people: People, admin: dict[str, str]) -> None:
    plain = people.bearer("admin@example.org")
    assert client.get(USERS, headers=plain).status_code == 403
    assert client.get(USERS, headers=admin).status_code == 200
