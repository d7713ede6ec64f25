"""Applications that nobody here wrote, on servers from nothing: flaskr and look, beside a PostgreSQL that is there.

ihatemoney, which uses it, is in tests/fleet/test_adopted.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import contract as contracts
from deploy.prober import first_certificate
from tests.support import rpms, sdists
from tests.support.browser import Browser
from tests.support.sdists import Sdist
from tests.support.servers import EVERY, HURRIED, REACHED, Servers, switched_on

pytestmark = pytest.mark.timeout(900)

HOSTS = ("lb1", "web1", "db1")
INSTALLED = {"lb": (*EVERY, "haproxy"), "web": (*EVERY, "python3.11"), "db": (*EVERY, "postgresql")}
ENVIRONMENT = (
    """
transport = "ssh"

"""
    + REACHED
    + HURRIED
)
SMOKE = 'smoke = [{ path = "/auth/login", text = "Log In" }]\n'
IMAGE = "'/images/1eaf6ef1-7f2d-4ecc-a8d5-6e8adba7cc0e.png'"


def module(site: Servers, *words: str) -> str:
    """Call what `make` calls."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=site.path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def build(site: Servers) -> str:
    """Build release and rpm of what the application's checkout has; give the version."""
    version = str(json.loads(module(site, "deploy.artifacts", "release", "--json"))["version"])
    module(site, "deploy.artifacts", "rpm", "--json")
    found = [path.name for path in (site.path / "dist").glob("*.rpm")]
    assert any("-release-" in name for name in found), found
    return version


def served(site: Servers) -> Browser:
    """Come in by the front door."""
    return Browser(site.environment.url, first_certificate(site.bundle))


def adopted(folder: Path, sdist: Sdist) -> Iterator[Servers]:
    """Switch servers on, and have the application beside a checkout of Slipway."""
    rpms.need_tools()
    sdists.checkout(sdist, folder / "app")
    with switched_on(folder / "slipway", ENVIRONMENT, HOSTS, INSTALLED) as made:
        yield made


def begin(site: Servers) -> str:
    """Set the servers up, and deploy the first version."""
    site.contract = contracts.read(site.path)
    version = build(site)
    site.fab("bootstrap:fleet")
    site.bundle = site.secrets["TLS_CERTIFICATE"]
    site.fab("deploy:fleet", "--json")
    assert site.versions() == {version}
    return version


def go_on_and_back(site: Servers, first: str, mark: str, path: str) -> None:
    """Roll a second version out under traffic, and go back."""
    with site.traffic(clients=4, rate=20) as during:
        second = build(site)
        site.fab("deploy:fleet", "--json")
        assert site.versions() == {second}
        assert mark in served(site).get(path)
        site.fab("rollback:fleet", "--json")
        assert site.versions() == {first}
    assert (during[0].failed, during[0].requests > 20) == (0, True), (during[0].failures, during[0])
    assert mark not in served(site).get(path)


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Give servers that had nothing."""
    yield from adopted(tmp_path, request.param)


@pytest.mark.parametrize("site", [sdists.FLASKR], indirect=True)
def test_flaskr_as_published(site: Servers) -> None:
    """Adopted by a look at it: data in a file of SQLite, one command that deletes everything."""
    module(site, "deploy.adopt", "init", "../app")
    own = site.path / "slipway.toml"
    own.write_text(own.read_text() + SMOKE)
    assert len([line for line in own.read_text().splitlines() if line[:1] not in ("", "#")]) <= 20
    first = begin(site)
    visitor = served(site)
    visitor.post("/auth/register", username="ada", password="secret")
    visitor.post("/auth/login", username="ada", password="secret")
    assert "Log Out" in visitor.post("/create", title="Hello", body="from the balancer")
    sdists.next_version(site.path.parent / "app", "flaskr/templates/base.html", "Flaskr<", "Flaskr, second edition<")
    go_on_and_back(site, first, "second edition", "/")
    assert "from the balancer" in served(site).get("/"), "what users wrote outlives versions, and init ran once"


@pytest.mark.parametrize("site", [sdists.LOOK], indirect=True)
def test_look_as_published(site: Servers) -> None:
    """No packaging at all: its files ship as they are."""
    text = (sdists.CONTRACTS / "look/slipway.toml").read_text().replace('"APP"', '"../app"')
    (site.path / "slipway.toml").write_text(text.replace('text = "/images/1eaf6ef1"', 'text = "/images/"'))
    shutil.copy(sdists.CONTRACTS / "look/slipway.lock", site.path)
    first = begin(site)
    url = f"{site.environment.url}/images"
    picture = urllib.request.Request(url, b"a picture", {"Content-Type": "image/png"})
    with served(site).opener.open(picture, timeout=20) as answer:
        assert answer.status == 201
        kept = str(answer.headers["Location"]).rpartition("/")[2]
    sdists.next_version(site.path.parent / "app", "look/images.py", IMAGE, "'/images/second-edition.png'")
    go_on_and_back(site, first, "second-edition", "/images")
    assert site["web1"].run(f"ls /var/lib/look/state/images/{kept}").returncode == 0
