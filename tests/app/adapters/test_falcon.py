"""What is particular to this adapter. What every adapter must do is in tests/contract."""

import json

import falcon
import flask
import pytest
import svcs
from limits.storage import MemoryStorage
from werkzeug.test import Client

from app.adapters.falcon import mount
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
    assert client.options("/say/a").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_a_parameter_is_never_empty(client: Client) -> None:
    assert client.get("/say/").status_code == 404


def test_bugs_go_through_to_the_middleware(client: Client) -> None:
    with pytest.raises(RuntimeError, match="bug"):
        client.get("/fail")


def bare_flask() -> Client:
    app = flask.Flask("bare")

    @app.get("/items/<int:number>")
    def show(number: int) -> flask.Response:
        response = flask.jsonify(b=number, a="é")
        response.set_cookie("c", "v")
        return response

    return Client(app)


def bare_falcon() -> Client:
    class Item:
        def on_get(self, request: falcon.Request, response: falcon.Response, number: int) -> None:
            response.media = {"b": number, "a": "é"}
            response.set_cookie("c", "v")

    app = falcon.App()
    app.add_route("/items/{number:int}", Item())
    return Client(app)


class TestWhatTheFrameworksDoByThemselves:
    """Why there are adapters. Each row of docs/framework-swap.md that says how they differ is pinned here."""

    @pytest.mark.parametrize(("client", "status"), [(bare_flask(), 200), (bare_falcon(), 405)], ids=["flask", "falcon"])
    def test_head(self, client: Client, status: int) -> None:
        assert client.head("/items/1").status_code == status

    @pytest.mark.parametrize(
        ("client", "kind"),
        [(bare_flask(), "text/html"), (bare_falcon(), "application/json")],
        ids=["flask", "falcon"],
    )
    def test_bodies_of_errors(self, client: Client, kind: str) -> None:
        assert client.get("/none").mimetype == kind

    @pytest.mark.parametrize(
        ("client", "refused", "options"),
        [
            (bare_flask(), {"GET", "HEAD", "OPTIONS"}, {"GET", "HEAD", "OPTIONS"}),
            (bare_falcon(), {"GET", "OPTIONS"}, {"GET"}),
        ],
        ids=["flask", "falcon"],
    )
    def test_allow(self, client: Client, refused: set[str], options: set[str]) -> None:
        assert set(client.delete("/items/1").headers["Allow"].split(", ")) == refused
        assert set(client.options("/items/1").headers["Allow"].split(", ")) == options

    @pytest.mark.parametrize(("client", "status"), [(bare_flask(), 404), (bare_falcon(), 200)], ids=["flask", "falcon"])
    def test_converters_and_negative_numbers(self, client: Client, status: int) -> None:
        assert client.get("/items/-1").status_code == status

    @pytest.mark.parametrize(("client", "status"), [(bare_flask(), 405), (bare_falcon(), 400)], ids=["flask", "falcon"])
    def test_methods_that_nobody_knows(self, client: Client, status: int) -> None:
        assert client.open("/items/1", method="FOO").status_code == status

    @pytest.mark.parametrize(
        ("client", "cookie"),
        [(bare_flask(), "c=v; Path=/"), (bare_falcon(), "c=v; HttpOnly; Secure")],
        ids=["flask", "falcon"],
    )
    def test_cookies(self, client: Client, cookie: str) -> None:
        assert client.get("/items/1").headers.getlist("Set-Cookie") == [cookie]

    @pytest.mark.parametrize(
        ("client", "body"),
        [(bare_flask(), rb'{"a":"\u00e9","b":1}'), (bare_falcon(), '{"b": 1, "a": "é"}'.encode())],
        ids=["flask", "falcon"],
    )
    def test_json(self, client: Client, body: bytes) -> None:
        assert client.get("/items/1").data.strip() == body


def test_the_one_difference_that_is_left(client: Client) -> None:
    """A method that nobody knows is Flask's 405 and Falcon's 400; a problem it is with both."""
    answer = client.open("/say/a", method="FOO")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
