import pytest
from werkzeug.test import Client

from app.middleware.errors import Errors


def test_a_bug_is_logged_and_gives_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ, start_response):
        raise RuntimeError("internal detail")

    response = Client(Errors(broken)).get("/")
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert "internal detail" not in response.text
    assert "internal detail" in caplog.text


def test_other_responses_pass(hello) -> None:
    assert Client(Errors(hello)).get("/").json == "hello"
