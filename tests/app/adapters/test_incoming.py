import io
import json

import pytest
from werkzeug.test import Client

from app.adapters.incoming import read_body, read_query, read_request
from app.web.problems import BadRequest
from tests.app.adapters.conftest import MOUNTS, Mounted


@pytest.fixture(params=MOUNTS)
def client(request: pytest.FixtureRequest, mounted: Mounted) -> Client:
    """Ask every adapter the same."""
    return mounted(request.param)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {}),
        ("a=1&a=2&b=", {"a": ["1", "2"], "b": [""]}),
        ("q=%C3%A9+%2B", {"q": ["é +"]}),
        ("q=\xc3\xa9", {"q": ["é"]}),
        ("q=%ff\xff", {"q": ["\ufffd\ufffd"]}),
        ("q=1;x=2", {"q": ["1;x=2"]}),
        ("q=a,b", {"q": ["a,b"]}),
        ("q", {"q": [""]}),
    ],
)
def test_queries_mean_what_browsers_mean(text: str, query: dict[str, list[str]]) -> None:
    assert read_query(text) == query


def test_headers_arrive_in_lower_case() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_IF_NONE_MATCH": "*", "CONTENT_TYPE": "text/csv", "wsgi.input": None}
    request = read_request(environ | {"REMOTE_ADDR": "192.0.2.1"}, {"id": "1"}, with_body=False)
    assert request.headers == {"if-none-match": "*", "content-type": "text/csv"}
    assert (request.method, request.path, request.address, request.body) == ("GET", {"id": "1"}, "192.0.2.1", b"")


@pytest.mark.parametrize(
    ("length", "body"), [("3", b"abc"), ("2", b"ab"), ("", b""), ("0", b""), ("x", b""), ("-1", b"")]
)
def test_as_much_is_read_as_was_announced(length: str, body: bytes) -> None:
    assert read_body({"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"abc")}) == body


def test_half_a_body_is_refused() -> None:
    with pytest.raises(BadRequest, match="ended before"):
        read_body({"CONTENT_LENGTH": "4", "wsgi.input": io.BytesIO(b"abc")})


def test_paths_queries_and_bodies_arrive_as_they_are(client: Client) -> None:
    assert client.get("/say/h%C3%A9?extra=%2B").json == {"said": "hé+"}
    assert client.post("/say/a", json={"extra": "b"}).json == {"said": "ab"}


def test_repeated_parameters_are_not_silently_dropped(client: Client) -> None:
    assert client.get("/say/a?extra=1&extra=2").status_code == 422


def test_head_is_get_without_body(client: Client) -> None:
    head = client.head("/say/a")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(client.get("/say/a").data))


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/none", 404), ("GET", "/say/a/", 404), ("PUT", "/say/a", 405)]
)
def test_what_routing_refuses_is_a_problem(client: Client, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert response.mimetype == "application/problem+json"
    assert json.loads(response.data)["status"] == response.status_code == status


def test_allow_is_sorted_and_complete(client: Client) -> None:
    assert client.delete("/say/a").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_bugs_go_through_to_the_middleware(client: Client) -> None:
    with pytest.raises(RuntimeError, match="bug"):
        client.get("/fail")
