"""What holds for every response."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import send

PATHS = ["/", "/version", "/livez", "/readyz", "/api/v1/places?q=lisb", "/api/v1/places/2267057", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(server, path: str) -> None:
    get, head = server.ask("GET", path), server.ask("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", PATHS)
def test_responses_are_protected_and_have_an_id(server, path: str) -> None:
    answer = server.ask("GET", path, headers={"X-Forwarded-Proto": "https", "X-Request-ID": "lb-42"})
    assert answer.headers["X-Request-ID"] == "lb-42"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Strict-Transport-Security"]


def test_options_tells_what_is_allowed(server) -> None:
    answer = server.ask("OPTIONS", "/api/v1/places")
    assert answer.status in {200, 204}
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/", "/api/v1/places?q=lisb", "/api/v1/places/2267057", "/api/v1/openapi.json"])
def test_who_has_it_already_gets_no_body(get, path: str) -> None:
    first = get(path)
    again = get(path, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Content-Type" not in again.headers
    assert get(path, **{"If-None-Match": '"other"'}).body == first.body


def test_pages_of_a_named_origin_may_call_the_api(server) -> None:
    asked = {"Origin": "https://maps.example", "Access-Control-Request-Method": "PUT"}
    preflight = server.ask("OPTIONS", "/api/v1/places", headers=asked)
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "https://maps.example")
    answer = server.ask("GET", "/api/v1/places", headers=asked)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (422, "https://maps.example")
    others = server.ask("GET", "/api/v1/places?q=x", headers={"Origin": "https://evil.example"})
    assert others.headers["Access-Control-Allow-Origin"] is None


def test_one_connection_serves_good_and_bad_requests(server) -> None:
    """A response that leaves part of a request unread would spoil the next one."""
    body = {"Content-Type": "application/json"}
    with contextlib.closing(server.connect()) as connection:
        for _ in range(3):
            assert send(connection, "GET", "/api/v1/places?q=lisb").status == 200
            assert send(connection, "POST", "/api/v1/geocode", b"{", body).status == 400
            assert send(connection, "POST", "/nowhere", b"x" * 5000).status == 404
            assert send(connection, "PUT", "/livez", b"x" * 5000).status == 405
            assert send(connection, "HEAD", "/").status == 200
            assert send(connection, "POST", "/api/v1/geocode", b'{"query": "Lisbon"}', body).status == 200


def test_many_clients_at_once(server) -> None:
    def client(number: int) -> set[int]:
        with contextlib.closing(server.connect()) as connection:
            return {send(connection, "GET", f"/api/v1/places?q={'abcdefghijklmnop'[number]}").status for _ in range(20)}

    with ThreadPoolExecutor(16) as threads:
        assert set().union(*threads.map(client, range(16))) == {200}


def test_the_index_leads_somewhere(get) -> None:
    index = get("/").json
    assert index["tagline"]
    for link in index["links"].values():
        assert get(link).status == 200
