import re

from werkzeug.test import Client

from app.application import Application
from app.users.models import User
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser

NEW = "another horse battery staple"


def test_name_and_language(inside: Browser) -> None:
    assert 'value="Ada"' in inside.get("/account").html
    inside.submit("/language", {"language": "de"}, on="/account")
    page = inside.submit("/account", {"name": "Ada L.", "language": "pt"})
    assert page.status == 303
    assert "Guardado." in inside.get("/account").text, "what was chosen here counts, not what was chosen in passing"
    assert 'value="Ada L."' in inside.get("/account").html
    inside.submit("/account", {"name": "Ada L.", "language": ""})
    assert '<html lang="en">' in inside.get("/account").html
    assert inside.submit("/account", {"name": "", "language": "xx"}).status == 422


def test_another_password_ends_other_sessions_and_renews_this_one(
    inside: Browser, ada: User, application: Application
) -> None:
    elsewhere = Browser(Client(application))
    elsewhere.log_in(ada.email, PASSWORD)
    before = inside.client.get_cookie("__Host-gazetteer")
    wrong = inside.submit("/account/password", {"current": "wrong", "password": NEW, "again": NEW})
    assert (wrong.status, "That is not your password" in wrong.text) == (422, True)
    same = inside.submit("/account/password", {"current": PASSWORD, "password": ada.email, "again": ada.email})
    assert (same.status, "must not be your e-mail address" in same.text) == (422, True)
    page = inside.submit("/account/password", {"current": PASSWORD, "password": NEW, "again": NEW})
    assert "Your password is changed." in inside.follow(page).text
    after = inside.client.get_cookie("__Host-gazetteer")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert elsewhere.get("/account").status == 303
    assert elsewhere.log_in(ada.email, NEW).status == 303


def test_sessions_are_listed_and_ended(inside: Browser, ada: User, application: Application) -> None:
    elsewhere = Browser(Client(application))
    elsewhere.log_in(ada.email, PASSWORD)
    page = inside.get("/account/sessions")
    assert page.text.count("this one") == 1
    (other,) = re.findall(r'action="(/account/sessions/\d+/end)"', page.html)
    assert "That session has ended." in inside.follow(inside.submit(other, on="/account/sessions")).text
    assert elsewhere.get("/account").status == 303
    elsewhere.log_in(ada.email, PASSWORD)
    inside.submit("/account/sessions/end-others", on="/account/sessions")
    assert elsewhere.get("/account").status == 303
    assert inside.get("/account").status == 200
    assert inside.submit("/account/sessions/99/end", on="/account/sessions").status == 404


def test_a_token_is_shown_once_works_and_is_revoked(inside: Browser, client: Client) -> None:
    page = inside.submit("/account/tokens", {"name": "Backup", "scopes": "read", "days": "7"})
    found = re.search(r'<code class="secret">([^<]+)</code>', page.html)
    assert found
    headers = {"Authorization": f"Bearer {found[1]}"}
    assert client.get("/api/v1/users/me", headers=headers).status_code == 200
    again = inside.get("/account/tokens")
    assert found[1] not in again.html
    assert "Backup Read what is mine" in again.text
    (revoke,) = re.findall(r'action="(/account/tokens/\d+/revoke)"', again.html)
    inside.submit(revoke, on="/account/tokens")
    assert client.get("/api/v1/users/me", headers=headers).status_code == 401


def test_nobody_gives_themselves_more_than_they_have(inside: Browser) -> None:
    assert "other users" not in inside.get("/account/tokens").text
    for sent in ({"name": "x", "scopes": "admin"}, {"name": "x"}, {"name": "x", "scopes": "read", "days": "0"}):
        assert inside.submit("/account/tokens", sent).status == 422
