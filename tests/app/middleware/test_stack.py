from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from app.application import create_app
from app.settings import Settings


@pytest.fixture
def strict(settings: Settings) -> Iterator[Client]:
    changes = {"allowed_hosts": ("places.example",), "trusted_proxies": 1, "max_body_bytes": 1024}
    application = create_app(settings.model_copy(update=changes))
    yield Client(application)
    application.close()


def test_health_answers_for_any_host(strict: Client) -> None:
    """A load balancer asks by address."""
    assert strict.get("/livez", base_url="http://10.0.0.1").status_code == 200
    assert strict.get("/version", base_url="http://10.0.0.1").status_code == 400


def test_the_proxy_is_believed_before_the_host_is_checked(strict: Client) -> None:
    response = strict.get("/version", base_url="http://10.0.0.1", headers={"X-Forwarded-Host": "places.example"})
    assert response.status_code == 200


def test_what_the_middleware_refuses_is_logged_counted_and_protected(
    strict: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    response = strict.post("/api/v1/geocode", base_url="http://places.example", data=b"x" * 2000)
    assert response.status_code == 413
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "413" in caplog.text
    assert 'status="413"} 1' in strict.get("/metrics").text
