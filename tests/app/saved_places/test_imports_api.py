import json
from typing import Any

import pytest

from tests.app.saved_places.conftest import Api
from tests.app.saved_places.test_importing import rows

GEOJSON = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [2, 1]}, "properties": {"name": "a"}},
            {"type": "Feature", "geometry": None, "properties": {}},
        ],
    }
).encode()


@pytest.fixture
def made(ana: Api) -> str:
    """The address of a list."""
    return str(ana.post("/api/v1/place-lists", json={"name": "L"}).headers["Location"])


def begin(api: Api, made: str, body: bytes, content_type: str = "text/csv") -> Any:
    return api.post(f"{made}/imports", data=body, content_type=content_type)


def test_a_file_is_taken_and_its_progress_can_be_seen(ana: Api, made: str) -> None:
    answer = begin(ana, made, rows(3) + b",1,2\n", "text/csv; charset=utf-8; header=present")
    assert answer.status_code == 202
    address = answer.headers["Location"]
    found = ana.get(address).json
    assert address == f"{made}/imports/{found['id']}"
    assert (found["format"], found["state"], found["reason"]) == ("csv", "done", "")
    assert [found[name] for name in ("total", "done", "added", "refused")] == [4, 4, 3, 1]
    assert ana.get(f"{address}/faults").json == {"items": [{"line": 5, "reason": "name is empty"}], "next": None}
    assert [one["id"] for one in ana.get(f"{made}/imports").json["items"]] == [found["id"]]
    assert ana.get(made).json["size"] == 3


def test_geojson_is_taken_too(ana: Api, made: str) -> None:
    found = begin(ana, made, GEOJSON, "application/geo+json").json
    assert (found["format"], found["added"], found["refused"]) == ("geojson", 1, 1)


@pytest.mark.parametrize(
    ("body", "content_type", "state"),
    [(b"", "text/csv", "failed"), (b"\xff\xfe\0", "text/csv", "failed"), (b"{", "application/geo+json", "failed")],
)
def test_what_can_not_be_read_is_no_error_of_ours(
    ana: Api, made: str, body: bytes, content_type: str, state: str
) -> None:
    answer = begin(ana, made, body, content_type)
    assert (answer.status_code, answer.json["state"]) == (202, state)
    assert answer.json["reason"]


def test_other_media_types_and_sizes_are_refused(ana: Api, made: str) -> None:
    assert begin(ana, made, b"{}", "application/json").status_code == 415
    assert begin(ana, made, b"x", "").status_code == 415
    assert begin(ana, made, b"x" * (2**20 + 1)).status_code == 413
    assert ana.get(f"{made}/imports").json["items"] == []


def test_pages_of_faults_lead_to_one_another(ana: Api, made: str) -> None:
    found = begin(ana, made, b"name,latitude,longitude\n" + b",1,2\n" * 5)
    address, lines = f"{found.headers['Location']}/faults?limit=2", []
    page = ana.get(address).json
    while page["next"]:
        lines += page["items"]
        page = ana.get(f"{address}&cursor={page['next']}").json
    assert [fault["line"] for fault in lines + page["items"]] == [2, 3, 4, 5, 6]


def test_nobody_else_sees_or_begins_an_import(ana: Api, ben: Api, made: str) -> None:
    address = begin(ana, made, rows(1)).headers["Location"]
    other = ben.post("/api/v1/place-lists", json={"name": "M"}).headers["Location"]
    moved = address.replace(made, other)
    for path in (address, f"{address}/faults", f"{made}/imports", moved, f"{moved}/faults"):
        assert ben.get(path).status_code == 404, path
    assert begin(ben, made, rows(1)).status_code == 404
