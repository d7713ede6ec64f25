from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from werkzeug.test import Client

from app.application import create_app
from app.geolocation.dataset import Dataset
from app.geolocation.seeding import seed
from app.settings import Settings
from tests.support.ports import free_ports


@pytest.fixture(autouse=True)
def _places(engine: Engine, atlas: Dataset) -> None:
    seed(engine, "atlas", lambda: atlas, datetime.now(UTC))


def test_a_place_has_all_its_facts(client: Client) -> None:
    assert client.get("/api/v1/places/2").json == {
        "id": 2,
        "name": "Paris 04 Hôtel-de-Ville",
        "label": "Paris 04 Hôtel-de-Ville, France",
        "country": {"code": "FR", "name": "France"},
        "admin1_code": "11",
        "latitude": 48.8598,
        "longitude": 2.3506,
        "population": 27332,
        "timezone": "Etc/UTC",
        "part_of": 1,
    }
    assert client.get("/api/v1/places/99").status_code == 404


def test_search_and_its_limit(client: Client) -> None:
    assert [item["id"] for item in client.get("/api/v1/places?q=lisb").json["items"]] == [4, 5]
    assert len(client.get("/api/v1/places?q=lisb&limit=1").json["items"]) == 1


def test_search_in_one_country(client: Client) -> None:
    assert [item["id"] for item in client.get("/api/v1/places?q=lisb&country=us").json["items"]] == [5]
    assert client.get("/api/v1/places?q=lisb&country=XX").json["items"] == []


def test_the_largest_places_of_a_map(client: Client) -> None:
    address = "/api/v1/places/within?south=-90&west=-180&north=90&east=180"
    assert [item["id"] for item in client.get(f"{address}&limit=2").json["items"]] == [1, 4]
    assert [item["id"] for item in client.get(f"{address}&country=FJ").json["items"]] == [7, 8]
    across = "/api/v1/places/within?south=-20&west=178&north=-10&east=-179"
    assert [item["id"] for item in client.get(across).json["items"]] == [7, 8]
    down = client.get("/api/v1/places/within?south=1&west=0&north=0&east=1")
    assert (down.status_code, down.json["errors"][0]["detail"]) == (422, "south must not be north of north")


def test_countries_and_their_places(client: Client) -> None:
    countries = client.get("/api/v1/countries").json["items"]
    assert countries[2] == {"code": "PT", "name": "Portugal"}
    assert client.get("/api/v1/countries/pt").json == countries[2]
    page = client.get("/api/v1/countries/FR/places?limit=2").json
    rest = client.get(f"/api/v1/countries/FR/places?limit=2&cursor={page['next']}").json
    assert [item["id"] for item in page["items"] + rest["items"]] == [1, 3, 2]
    assert client.get("/api/v1/countries/XX").status_code == 404
    assert client.get("/api/v1/countries/XX/places").status_code == 404
    assert client.get("/api/v1/countries/France").status_code == 422


def test_nearest_gives_distances(client: Client) -> None:
    first, second = client.get("/api/v1/places/nearest?lat=48.86&lon=2.35&limit=2").json["items"]
    assert (first["name"], first["distance_km"], second["name"]) == ("Paris", 0.738, "Montrouge")


def test_geocode_both_ways(client: Client) -> None:
    assert client.post("/api/v1/geocode", json={"query": "Paris, TX"}).json["items"][0]["id"] == 6
    assert client.get("/api/v1/reverse-geocode?lat=38.7&lon=-9.1").json["name"] == "Lisbon"
    assert client.get("/api/v1/reverse-geocode?lat=0&lon=-30").status_code == 404


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/places", ["q"]),
        ("/api/v1/places?q=&limit=0", ["q", "limit"]),
        ("/api/v1/places?q=x&limit=51", ["limit"]),
        ("/api/v1/places/abc", ["place_id"]),
        ("/api/v1/places/0", ["place_id"]),
        ("/api/v1/places/99999999999999999999", ["place_id"]),
        ("/api/v1/places/nearest?lat=91&lon=-181", ["lat", "lon"]),
        ("/api/v1/places/nearest?lat=nan&lon=inf", ["lat", "lon"]),
        ("/api/v1/reverse-geocode?lat=x", ["lat", "lon"]),
    ],
)
def test_each_bad_parameter_is_named(client: Client, path: str, parameters: list[str]) -> None:
    response = client.get(path)
    assert response.status_code == 422
    assert [fault["parameter"] for fault in response.json["errors"]] == parameters


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": 5}, {"query": "x" * 201}, {"query": "x", "lmit": 1}])
def test_bad_bodies_are_refused(client: Client, body: dict[str, object]) -> None:
    assert client.post("/api/v1/geocode", json=body).status_code == 422


def test_text_that_is_no_unicode_is_refused(client: Client) -> None:
    response = client.post("/api/v1/geocode", data=b'{"query": "\\ud800"}', content_type="application/json")
    assert response.status_code == 422


def test_a_geocoder_that_is_away_is_said_to_be(environ: dict[str, str]) -> None:
    variables = {**environ, "GEOCODER": "nominatim", "NOMINATIM_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    application = create_app(Settings.from_environ(variables))
    answer = Client(application).post("/api/v1/geocode", json={"query": "Lisboa"})
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert Client(application).get("/api/v1/reverse-geocode?lat=1&lon=2").status_code == 503
    application.close()
