import logging

import pytest
from werkzeug.test import Client

from app.middleware.access_log import AccessLog
from app.middleware.environ import ROUTE
from app.web.messages import Response


def test_a_request_is_one_line_without_personal_data(hello, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Client(AccessLog(hello)).get("/thing/5?email=me@example.org", environ_base={"REMOTE_ADDR": "203.0.113.9"})
    (record,) = caplog.records
    assert record.getMessage() == "GET /thing/{id} 200"
    assert vars(record)["ms"] >= 0
    assert "example.org" not in str(vars(record))
    assert "203.0.113.9" not in str(vars(record))


def test_an_address_without_route_is_not_written_down(caplog: pytest.LogCaptureFixture) -> None:
    def nothing(environ, start_response):
        start_response("404 Not Found", [])
        return []

    caplog.set_level(logging.INFO)
    address = "/me@example.org/secret"
    Client(AccessLog(nothing)).get(address)
    assert "example.org" not in caplog.text
    assert f"(no route, {len(address)} characters) 404" in caplog.text


@pytest.mark.parametrize(("status", "level"), [(200, logging.DEBUG), (503, logging.INFO)])
def test_health_checks_are_quiet_unless_they_fail(
    inner, caplog: pytest.LogCaptureFixture, status: int, level: int
) -> None:
    def answer(environ):
        environ[ROUTE] = "/readyz"
        return Response(status, b"")

    caplog.set_level(logging.DEBUG)
    Client(AccessLog(inner(answer))).get("/readyz")
    assert [record.levelno for record in caplog.records] == [level]
