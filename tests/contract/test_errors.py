"""Every error is problem details (RFC 9457)."""

import http.client
import socket

import pytest

GARBAGE = (
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
)


def check_problem(answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    content = answer.json
    assert content["status"] == status
    assert content["title"] == http.client.responses[status]
    assert content["type"]
    assert content["detail"]
    assert "Traceback" not in answer.body.decode()


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api/v1/places/", "/api/v1/places/1/x", "/api/v1/places/1", "/API/v1/places", "/%2e%2e/etc", "/%ff"],
)
def test_unknown_paths_are_404(get, path: str) -> None:
    check_problem(get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/v1/places", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/api/v1/geocode", {"POST", "OPTIONS"}),
        ("PUT", "/", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("PATCH", "/readyz", {"GET", "HEAD"}),
    ],
)
def test_wrong_methods_are_405_with_allow(server, method: str, path: str, allow: set[str]) -> None:
    answer = server.ask(method, path)
    check_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/places", ["q"]),
        ("/api/v1/places?q=a&q=b&limit=many", ["q", "limit"]),
        ("/api/v1/places/nearest?lat=91&lon=x", ["lat", "lon"]),
        ("/api/v1/places/lisbon", ["place_id"]),
    ],
)
def test_bad_parameters_are_422_and_each_is_named(get, path: str, parameters: list[str]) -> None:
    answer = get(path)
    check_problem(answer, 422)
    assert [fault["parameter"] for fault in answer.json["errors"]] == parameters
    assert all(fault["detail"] for fault in answer.json["errors"])


def test_bad_members_are_422_and_each_is_pointed_at(post) -> None:
    answer = post("/api/v1/auth/sign-ups", {"email": "me", "password": "short"})
    check_problem(answer, 422)
    assert [fault["pointer"] for fault in answer.json["errors"]] == ["#/email", "#/name", "#/password"]


@pytest.mark.parametrize("name", ["a\\u0000b", "a\\ud800b", "a\\nb"])
def test_names_that_no_database_keeps_alike_are_422(post, name: str) -> None:
    body = f'{{"email": "nul@example.org", "name": "{name}", "password": "correct horse battery"}}'
    check_problem(post("/api/v1/auth/sign-ups", body.encode()), 422)


@pytest.mark.parametrize("text", ["%00", "%F4%8F%BF%BF", "a%00b%0A"])
def test_any_character_may_be_searched_for(get, text: str) -> None:
    assert get(f"/api/v1/places?q={text}").status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"query": NaN}', b"[" * 50_000])
def test_malformed_json_is_400(post, body: bytes) -> None:
    check_problem(post("/api/v1/geocode", body), 400)


def test_what_is_not_json_is_415(server) -> None:
    check_problem(server.ask("POST", "/api/v1/geocode", b"query=Lisbon", {"Content-Type": "text/plain"}), 415)


def test_too_large_a_body_is_413(post) -> None:
    check_problem(post("/api/v1/geocode", b" " * 1_048_577), 413)


def test_a_chunked_body_is_read_and_limited_too(server) -> None:
    def chunks(count: int):
        yield b'{"query": "Lisbon"'
        yield from [b" " * 65_536] * count
        yield b"}"

    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    connection = server.connect()
    connection.request("POST", "/api/v1/geocode", chunks(1), headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    connection = server.connect()
    connection.request("POST", "/api/v1/geocode", chunks(16), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_hosts_that_are_not_ours_are_refused(get) -> None:
    check_problem(get("/version", Host="evil.example"), 400)
    assert get("/version", **{"X-Forwarded-Host": "places.example"}, Host="10.0.0.1").status == 200
    assert get("/livez", Host="10.0.0.1").status == 200


def test_what_is_no_http_kills_nothing(server, get) -> None:
    for garbage in GARBAGE:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1000)
    assert get("/livez").status == 200
