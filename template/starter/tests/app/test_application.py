"""What the application answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import about, settings
from app.application import create_app

SECRET = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"


@pytest.fixture
def client() -> FlaskClient:
    return create_app(settings.read({"SECRET_KEY": SECRET})).test_client()


def test_it_says_who_it_is(client: FlaskClient) -> None:
    assert client.get("/").json == {"name": about.NAME, "version": about.installed_version()}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_it_is_healthy(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("secret", ["", "changeme", "short"])
def test_an_example_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="SECRET_KEY: expected a secret of 16 characters or more"):
        settings.read({"SECRET_KEY": secret})


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    assert settings.read({"SECRET_KEY_FILE": str(path)}).secret_key == SECRET
    assert settings.problems({"SECRET_KEY_FILE": str(tmp_path / "none")})[0].startswith("SECRET_KEY_FILE: expected")
