import pytest
from werkzeug.test import Client

from app.middleware.health import Health


def client(hello, *reasons: str) -> Client:
    return Client(Health(hello, lambda: list(reasons), lambda: "metric 1\n"))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_get_and_head_and_nothing_else(hello, path: str) -> None:
    healthy = client(hello)
    get, head, post = healthy.get(path), healthy.head(path), healthy.post(path)
    assert (get.status_code, head.status_code, post.status_code) == (200, 200, 405)
    assert get.data
    assert head.data == b""
    assert post.headers["Allow"] == "GET, HEAD"
    assert get.headers["Cache-Control"] == "no-store"


def test_reasons_keep_it_from_being_ready_but_not_alive(hello, caplog: pytest.LogCaptureFixture) -> None:
    sick = client(hello, "no database", "draining")
    response = sick.get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "unavailable", "reasons": ["no database", "draining"]}
    assert "no database; draining" in caplog.text
    assert sick.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/", "/livez/", "/metricsx", "/%6civezz"])
def test_every_other_address_goes_on(hello, path: str) -> None:
    assert client(hello).get(path).json == "hello"
