import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.test import Client

from app.middleware.errors import Errors


def test_a_bug_is_logged_and_gives_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ, start_response):
        raise RuntimeError("internal detail")

    response = Client(Errors(broken)).get("/")
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert "internal detail" not in response.text
    assert "internal detail" in caplog.text


def test_what_passes_by_itself_says_so() -> None:
    def waiting(environ, start_response):
        raise PoolTimeout

    response = Client(Errors(waiting)).get("/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json is not None
    assert "try again" in response.json["detail"]


def test_other_responses_pass(hello) -> None:
    assert Client(Errors(hello)).get("/").json == "hello"
