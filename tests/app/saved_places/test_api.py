import json
from typing import Any

import pytest
from werkzeug.test import Client

from app.saved_places.api import ROUTES
from app.web.routes import Permission
from tests.app.saved_places.conftest import Api

LISTS = "/api/v1/place-lists"


@pytest.fixture
def made(ana: Api) -> str:
    """The address of a list."""
    return str(ana.post(LISTS, json={"name": "Bars", "description": "in Graça"}).headers["Location"])


def put(api: Api, made: str, name: str, **more: Any) -> Any:
    return api.post(f"{made}/places", json={"name": name, "latitude": 1, "longitude": -2.5, **more})


def test_a_list_is_made_read_changed_and_removed(ana: Api, made: str) -> None:
    found = ana.get(made)
    assert found.json["name"] == "Bars"
    assert (found.json["description"], found.json["size"], found.json["version"]) == ("in Graça", 0, 1)
    tag = found.headers["ETag"]
    changed = ana.patch(made, json={"name": "Pubs"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json["name"], changed.json["description"]) == (200, "Pubs", "in Graça")
    assert ana.patch(made, json={"name": "Inns"}, headers={"If-Match": tag}).status_code == 412
    assert ana.patch(made, json={"name": "Inns"}).status_code == 428
    assert ana.delete(made).status_code == 428
    assert ana.delete(made, headers={"If-Match": tag}).status_code == 412
    assert ana.get(made, headers={"If-None-Match": changed.headers["ETag"]}).status_code == 304
    assert [one["name"] for one in ana.get(LISTS).json["items"]] == ["Pubs"]
    gone = ana.delete(made, headers={"If-Match": changed.headers["ETag"]})
    assert (gone.status_code, gone.data) == (204, b"")
    assert ana.get(made).status_code == 404


def test_lists_come_page_by_page(ana: Api) -> None:
    for name in "abc":
        ana.post(LISTS, json={"name": name})
    first = ana.get(f"{LISTS}?limit=2").json
    second = ana.get(f"{LISTS}?limit=2&cursor={first['next']}").json
    assert [one["name"] for one in first["items"] + second["items"]] == list("abc")
    assert second["next"] is None


def test_places_are_put_into_a_list_moved_and_removed(ana: Api, made: str) -> None:
    addresses = [put(ana, made, name).headers["Location"] for name in "abc"]
    last = ana.get(addresses[2])
    moved = ana.patch(addresses[2], json={"ordinal": 1, "note": "a\nb"}, headers={"If-Match": last.headers["ETag"]})
    assert (moved.json["ordinal"], moved.json["note"], moved.json["version"]) == (1, "a\nb", 2)
    page = ana.get(f"{made}/places?limit=2").json
    rest = ana.get(f"{made}/places?limit=2&cursor={page['next']}").json
    assert [one["name"] for one in page["items"] + rest["items"]] == ["c", "a", "b"]
    assert ana.patch(addresses[2], json={"note": "x"}, headers={"If-Match": last.headers["ETag"]}).status_code == 412
    assert ana.delete(addresses[0], headers={"If-Match": "*"}).status_code == 204
    assert ana.get(made).json["size"] == 2


def test_a_place_that_was_moved_by_others_is_another_representation(ana: Api, made: str) -> None:
    first, second = (put(ana, made, name).headers["Location"] for name in "ab")
    tag = ana.get(second).headers["ETag"]
    ana.patch(first, json={"ordinal": 2}, headers={"If-Match": "*"})
    assert ana.get(second, headers={"If-None-Match": tag}).json["ordinal"] == 1
    assert ana.patch(second, json={"note": "n"}, headers={"If-Match": tag}).status_code == 200, "the same version"


def test_a_place_of_ours_is_saved_by_its_id(ana: Api, made: str, places: None) -> None:
    found = ana.post(f"{made}/places", json={"place_id": 4, "note": "fish"}).json
    assert (found["name"], found["latitude"], found["place_id"]) == ("Lisbon, Portugal", 38.72509, 4)
    own = put(ana, made, "Work", place_id=4).json
    assert (own["name"], own["latitude"], own["place_id"]) == ("Work", 1, 4)
    assert ana.post(f"{made}/places", json={"place_id": 99}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a"},
        {"name": "a", "latitude": 1, "place_id": 4},
        {"name": "a", "latitude": 91, "longitude": 0},
        {"name": " ", "latitude": 1, "longitude": 0},
        {"name": "a\nb", "latitude": 1, "longitude": 0},
        {"name": "a", "latitude": 1, "longitude": 0, "note": "\0"},
        {"name": "a", "latitude": 1, "longitude": 0, "note": "x" * 2001},
        {"name": "a", "latitude": 1, "longitude": 0, "stars": 5},
        {"place_id": 2**31},
    ],
)
def test_what_is_no_place_is_refused(ana: Api, made: str, body: dict[str, object]) -> None:
    assert ana.post(f"{made}/places", json=body).status_code == 422


def test_exports_have_all_and_can_be_imported_again(ana: Api, made: str) -> None:
    put(ana, made, "=SUM(A1)", note="a\n;b")
    put(ana, made, "São Tomé")
    csv, geojson = ana.get(f"{made}/places.csv"), ana.get(f"{made}/places.geojson")
    assert (csv.mimetype, geojson.mimetype) == ("text/csv", "application/geo+json")
    assert "'=SUM(A1)" in csv.text
    assert csv.headers["Content-Disposition"] == "attachment; filename*=UTF-8''places.csv"
    assert [one["properties"]["name"] for one in json.loads(geojson.data)["features"]] == ["=SUM(A1)", "São Tomé"]
    for export in (csv, geojson):
        again = ana.post(LISTS, json={"name": "again"}).headers["Location"]
        ana.post(f"{again}/imports", data=export.data, content_type=export.content_type)
        assert ana.get(f"{again}/places.csv").data == csv.data


def test_nobody_else_can_do_anything(ana: Api, ben: Api, client: Client, made: str) -> None:
    """Each route that is about a list is asked by somebody else, and by nobody."""
    place = put(ana, made, "a").headers["Location"]
    before = ana.get(f"{made}/places").json
    body = {"name": "b", "latitude": 1, "longitude": 2}
    for route in ROUTES:
        assert route.permission is Permission.SIGNED_IN
        path = route.path.replace("{list_id}", made.rpartition("/")[2]).replace("{saved_id}", place.rpartition("/")[2])
        path = path.replace("{import_id}", "1")
        given: dict[str, Any] = {"headers": {"If-Match": "*"}} if route.guarded else {}
        if route.uploads:
            given |= {"data": b"x", "content_type": "text/csv"}
        elif route.has_body:
            given["json"] = {name: body[name] for name in route.body_members & set(body)}
        assert client.open(path, method=route.method, **given).status_code == 401
        if "{list_id}" in route.path:
            assert ben.open(path, method=route.method, **given).status_code == 404, route.name
    assert ana.get(f"{made}/places").json == before
    assert ben.get(LISTS).json["items"] == []
