import re

import pytest
import svcs
from werkzeug.test import Client

from app.application import Application
from app.database.transaction import Transaction
from app.users.models import Role, User
from app.users.repository import UserRepository
from app.users.services import Users
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser


@pytest.fixture
def admin(inside: Browser, ada: User, registry: svcs.Registry) -> Browser:
    """Ada's browser, once she is an admin."""
    with svcs.Container(registry) as components:
        components.get(UserRepository).change(ada.id, role=Role.ADMIN)
        components.get(Transaction).commit()
    return inside


@pytest.fixture
def bob(registry: svcs.Registry) -> User:
    with svcs.Container(registry) as components:
        return components.get(Users).create("bob@example.org", "Bob <b>", PASSWORD)


def sent(**changed: str) -> dict[str, str]:
    """Bob's form as it is shown, but for what is changed."""
    return {"name": "Bob", "email": "bob@example.org", "role": "user", "language": "", "active": "y", **changed}


def test_users_are_found_sorted_and_filtered(admin: Browser, bob: User) -> None:
    page = admin.get("/admin/users")
    assert page.text.index("ada@example.org") < page.text.index("bob@example.org")
    assert "Bob &lt;b&gt;" in page.html
    page = admin.get("/admin/users?sort=-name")
    assert page.text.index("bob@example.org") < page.text.index("ada@example.org")
    assert 'aria-sort="descending"' in page.html
    assert "ada@" not in admin.get("/admin/users?q=BOB").text
    assert "bob@" not in admin.get("/admin/users?role=admin").text
    assert "Nobody is like that." in admin.get("/admin/users?active=false").text


@pytest.mark.parametrize("query", ["sort=password_hash", "cursor=x", "role=king", "active=maybe"])
def test_an_address_that_somebody_wrote_begins_at_the_beginning(admin: Browser, query: str) -> None:
    page = admin.get(f"/admin/users?{query}")
    assert (page.status, page.location) == (303, "/admin/users")


def test_long_lists_come_in_pages(admin: Browser, registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        for number in range(26):
            components.get(Users).create(f"user{number:02}@example.org", f"User {number:02}", PASSWORD)
    first = admin.get("/admin/users?q=user&sort=name")
    address = re.search(r'href="([^"]+)">Next', first.html)
    assert address
    second = admin.get(address[1].replace("&amp;", "&"))
    assert "User 25" not in first.text
    assert re.findall(r"User \d\d", second.text) == ["User 25"]
    assert "To the beginning" in second.text


def test_a_user_is_changed(admin: Browser, bob: User) -> None:
    address = f"/admin/users/{bob.id}"
    assert admin.get(address).heading == "Bob <b>"
    page = admin.submit(address, sent(name="Robert", role="admin", language="de"))
    assert "Saved." in admin.follow(page).text
    assert admin.get(address).heading == "Robert"
    assert "Robert" in admin.get("/admin/users?role=admin").text


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"email": "ada@example.org"}, "Somebody has this address already"),
        ({"email": "nobody"}, "This is no e-mail address."),
        ({"name": ""}, "This field is required."),
        ({"role": "king"}, "Not a valid choice"),
    ],
)
def test_what_is_wrong_is_told(admin: Browser, bob: User, changed: dict[str, str], told: str) -> None:
    page = admin.submit(f"/admin/users/{bob.id}", sent(**changed))
    assert (page.status, told in page.text) == (422, True)


def test_who_is_kept_out_is_out_at_once(admin: Browser, bob: User, application: Application) -> None:
    browser = Browser(Client(application))
    browser.log_in(bob.email, PASSWORD)
    assert browser.get("/account").status == 200
    form = sent()
    del form["active"]
    assert admin.submit(f"/admin/users/{bob.id}", form).status == 303
    assert browser.get("/account").location.startswith("/log-in")
    assert browser.log_in(bob.email, PASSWORD).status == 422
    assert "kept out" in admin.get("/admin/users").text


def test_nobody_keeps_themselves_out(admin: Browser, ada: User) -> None:
    page = admin.submit(f"/admin/users/{ada.id}", {"name": "Ada", "email": ada.email, "role": "admin", "language": ""})
    assert (page.status, "ask another admin" in page.text) == (422, True)


def test_ordinary_users_can_neither_see_nor_change_anybody(inside: Browser, ada: User, bob: User) -> None:
    for user in (ada, bob):
        assert inside.get(f"/admin/users/{user.id}").status == 403
        page = inside.submit(f"/admin/users/{user.id}", sent(role="admin"), on="/account")
        assert page.status == 403
    assert inside.get("/admin/users").status == 403
    assert "Users" not in inside.get("/account").text
