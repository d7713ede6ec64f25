"""What is particular to this adapter. What all have in common is in test_incoming.py and in tests/contract."""

import falcon
import flask
import pytest
from werkzeug.test import Client

from tests.app.adapters.conftest import Mounted


@pytest.fixture
def client(mounted: Mounted) -> Client:
    return mounted("falcon")


def test_options_say_what_is_allowed(client: Client) -> None:
    assert client.options("/say/a").headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_a_parameter_is_never_empty(client: Client) -> None:
    assert client.get("/say/").status_code == 404


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
