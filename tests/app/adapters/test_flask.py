"""What is particular to this adapter. What every adapter must do is in tests/contract."""

import json

import pytest
import svcs
from limits.storage import MemoryStorage
from werkzeug.test import Client

from app.adapters.flask import mount
from app.web.limits import RateLimits
from app.web.routes import Call, Input, NoInput, Output, Permission, Route


class Words(Input):
    word: str
    extra: str = ""


class Said(Output):
    said: str


def say(call: Call[Words]) -> Said:
    return Said(said=f"{call.input.word}{call.input.extra}")


def fail(call: Call[NoInput]) -> Said:
    raise RuntimeError("bug")


@pytest.fixture
def client() -> Client:
    routes = (
        Route("GET", "/say/{word}", "say", "Say", Permission.PUBLIC, Words, Said, say),
        Route("POST", "/say/{word}", "say.post", "Say", Permission.PUBLIC, Words, Said, say),
        Route("GET", "/fail", "fail", "Fail", Permission.PUBLIC, NoInput, Said, fail),
    )
    registry = svcs.Registry()
    registry.register_value(RateLimits, RateLimits({}, MemoryStorage))
    return Client(mount(routes, registry))


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


def test_a_method_that_nobody_knows_is_refused(client: Client) -> None:
    """Falcon says 400: see docs/framework-swap.md."""
    answer = client.open("/say/a", method="FOO")
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
