import re

import pytest
import svcs
from sqlalchemy import Engine, event
from werkzeug.test import Client

from app.application import Application
from app.saved_places.services import SavedPlaces
from app.users.models import User
from app.users.services import Users
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture
def trip(inside: Browser) -> str:
    """The address of a new list of Ada's."""
    page = inside.submit("/lists", {"name": "Trip <1>", "description": "By train"})
    assert page.status == 303
    return page.location


@pytest.fixture
def eve(application: Application, registry: svcs.Registry) -> Browser:
    """Somebody else, logged in."""
    with svcs.Container(registry) as components:
        components.get(Users).create("eve@example.org", "Eve", PASSWORD)
    browser = Browser(Client(application))
    browser.log_in("eve@example.org", PASSWORD)
    return browser


def saved_in(browser: Browser, trip: str) -> str:
    """Save Lisbon, and return the address of the saved place."""
    number = trip.rpartition("/")[2]
    page = browser.submit("/places/4/save", {"place_list": number, "note": "Pastéis"})
    assert (page.status, page.location) == (303, trip)
    found = re.search(rf'href="({trip}/places/\d+)"', browser.get(trip).html)
    assert found
    return found[1]


def test_a_new_list_is_empty(inside: Browser, trip: str) -> None:
    page = inside.get(trip)
    assert page.heading == "Trip <1>"
    assert "Nothing in it yet" in page.text
    assert "Trip &lt;1&gt;" in inside.get("/lists").html


def test_a_list_needs_a_name_of_one_line(inside: Browser) -> None:
    assert inside.submit("/lists", {"name": ""}).status == 422
    page = inside.submit("/lists", {"name": "a\nb"})
    assert (page.status, "Use one line" in page.text) == (422, True)
    assert inside.submit("/lists", {"name": "x" * 101}).status == 422


def test_saving_a_place_puts_it_on_the_list_and_its_map(inside: Browser, trip: str) -> None:
    saved_in(inside, trip)
    page = inside.get(trip)
    assert "Lisbon, Portugal is saved." not in page.text, "told once, on the page before"
    assert "Pastéis" in page.text
    assert page.html.count('<circle class="pin"') == 1


def test_saving_into_a_new_list_makes_it(inside: Browser) -> None:
    page = inside.submit("/places/4/save", {"place_list": "0", "name": "Capitals"})
    assert inside.follow(page).heading == "Capitals"
    assert inside.submit("/places/4/save", {"place_list": "0", "name": " "}).status == 422
    assert inside.submit("/places/4/save", {"place_list": "999", "name": "x"}).status == 422


def test_a_place_is_changed_and_taken_out(inside: Browser, trip: str) -> None:
    saved = saved_in(inside, trip)
    assert 'value="38.72509"' in inside.get(saved).html
    wanted = {"name": "Alfama", "latitude": "38,7", "longitude": "-9.1", "note": "", "version": "1"}
    assert inside.submit(saved, wanted).location == trip
    assert "Alfama" in inside.get(trip).text
    stale = inside.submit(saved, {**wanted, "name": "Belém"})
    assert (stale.status, "It has been changed since" in stale.text, "Alfama" in stale.html) == (422, True, True)
    assert inside.submit(saved, {**wanted, "latitude": "91"}).status == 422
    assert inside.submit(f"{saved}/remove", on=trip).location == trip
    assert "Nothing in it yet" in inside.get(trip).text


def test_a_list_is_changed_and_removed(inside: Browser, trip: str) -> None:
    sent = {"name": "Journey", "description": "", "version": "1"}
    assert inside.submit(f"{trip}/change", sent).location == trip
    assert inside.get(trip).heading == "Journey"
    stale = inside.submit(f"{trip}/change", {**sent, "name": "Trek"})
    assert (stale.status, 'value="Journey"' in stale.html) == (422, True)
    page = inside.follow(inside.submit(f"{trip}/remove", on=f"{trip}/change"))
    assert "The list is gone." in page.text
    assert inside.get(trip).status == 404


def test_long_lists_come_in_pages(inside: Browser, trip: str, ada: User, registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        for _ in range(51):
            components.get(SavedPlaces).save_known(ada.id, int(trip.rpartition("/")[2]), 4)
    first = inside.get(trip)
    assert "1 to 50 of 51" in first.text
    assert f'href="{trip}?after=50"' in first.html
    assert "51 to 51 of 51" in inside.get(f"{trip}?after=50").text
    assert inside.get(f"{trip}?after=x").status == inside.get(f"{trip}?after=99999999999999999999").status == 200


def test_somebody_elses_lists_are_not_there(inside: Browser, trip: str, eve: Browser) -> None:
    saved = saved_in(inside, trip)
    for address in (trip, f"{trip}/change", f"{trip}/imports", f"{trip}/export.csv", saved):
        assert eve.get(address).status == 404, address
    number = trip.rpartition("/")[2]
    assert eve.submit("/places/4/save", {"place_list": number}).status == 422
    for address in (f"{trip}/remove", f"{saved}/remove", f"{trip}/change", saved):
        sent = {"name": "mine", "latitude": "1", "longitude": "1"}
        assert eve.submit(address, sent, on="/lists").status == 404, address
    assert "Trip" not in eve.get("/lists").text
    assert inside.get(trip).status == 200


def test_a_long_list_takes_no_more_statements_than_a_short_one(
    inside: Browser, trip: str, ada: User, registry: svcs.Registry
) -> None:
    counted: list[str] = []
    with svcs.Container(registry) as components:
        event.listen(components.get(Engine), "before_cursor_execute", lambda *given: counted.append(given[2]))
        saved, number = components.get(SavedPlaces), int(trip.rpartition("/")[2])
        saved.save_known(ada.id, number, 4)
        inside.get(trip)  # the towns of maps are read once a process
        counted.clear()
        inside.get(trip)
        short = len(counted)
        for _ in range(20):
            saved.save_known(ada.id, number, 4)
    counted.clear()
    page = inside.get(trip)
    assert page.html.count('<circle class="pin"') == 21
    assert len(counted) == short <= 6, counted
