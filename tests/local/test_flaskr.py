"""Flask's own tutorial application, as published: no file of it is changed, and slipway.toml has 13 lines.

It is a folder of Flask's source distribution, keeps its data in SQLite inside its own environment, reads its secret
from a configuration file there, and its only command for the database begins by deleting everything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.adopting import Adopted, adopted
from tests.support import sdists
from tests.support.browser import Browser


@pytest.fixture(scope="module")
def flaskr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    """Adopt it, and set `local` up."""
    with adopted(tmp_path_factory.mktemp("flaskr"), sdists.FLASKR, "flaskr") as site:
        site.release()
        site.fab("bootstrap:local")
        yield site


def test_it_serves_from_nothing_and_is_used_through_the_balancer(flaskr: Adopted) -> None:
    steps = flaskr.steps(flaskr.fab("deploy:local", "--json"))
    assert steps.count("init") == 1
    assert steps.index("init") < steps.index("trial"), "its pages need the tables"
    visitor = Browser(flaskr.url)
    visitor.post("/auth/register", username="ada", password="secret")
    visitor.post("/auth/login", username="ada", password="secret")
    assert "Log Out" in visitor.post("/create", title="Hello", body="from the balancer")
    assert all("from the balancer" in visitor.get("/") for _ in range(4)), "each server shows it"


def test_its_secret_is_its_own_and_in_no_artifact(flaskr: Adopted) -> None:
    secret = (flaskr.directory / "secrets/SECRET_KEY").read_text().strip()
    config = flaskr.directory / "web1/state/instance/config.py"
    assert config.read_text() == f"SECRET_KEY = '{secret}'\n"
    assert config.stat().st_mode & 0o777 == 0o600
    release = (flaskr.directory / "web1/current/release").resolve()
    assert not any(secret.encode() in path.read_bytes() for path in release.rglob("*.*") if path.is_file())


def test_a_second_version_and_back_lose_no_request_and_no_data(flaskr: Adopted) -> None:
    sdists.next_version(flaskr.app, "flaskr/templates/base.html", "Flaskr</a>", "Flaskr, second edition</a>")
    flaskr.release()
    visitor = Browser(flaskr.url)
    with flaskr.traffic() as during:
        assert "init" not in flaskr.steps(flaskr.fab("deploy:local", "--json"))
        page = visitor.get("/")
        flaskr.fab("rollback:local", "--json")
    assert "second edition" in page
    assert "from the balancer" in page
    assert (during[0].failed, during[0].requests > 20) == (0, True), during[0]
    page = visitor.get("/")
    assert "second edition" not in page
    assert "from the balancer" in page


def test_init_never_runs_where_data_is(flaskr: Adopted, tmp_path: Path) -> None:
    """As when servers were made anew and got their data back: nothing ever served there, and the data is there."""
    kept = tmp_path / "flaskr.sqlite"
    shutil.copy(flaskr.directory / "shared/instance/flaskr.sqlite", kept)
    flaskr.fab("destroy:local")
    flaskr.fab("bootstrap:local")
    shutil.copy(kept, flaskr.directory / "shared/instance/flaskr.sqlite")
    done = flaskr.fab("deploy:local", "--json")
    said = [event["detail"] for event in done.events if event["event"] == "end" and event["step"]["kind"] == "init"]
    assert said == ["not run: there is data already (instance/flaskr.sqlite)"]
    assert "from the balancer" in Browser(flaskr.url).get("/")


def test_nothing_of_theirs_was_changed(flaskr: Adopted) -> None:
    assert flaskr.unchanged
