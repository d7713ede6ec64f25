"""ihatemoney, as published, on servers: set up by Salt, on PostgreSQL, under systemd's sandbox, used over HTTPS."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploy import contract as contracts
from deploy.prober import Summary, first_certificate
from tests.support import rpms, sdists
from tests.support.browser import Browser
from tests.support.servers import HURRIED, REACHED, Servers, switched_on

pytestmark = pytest.mark.timeout(600)

HOSTS = ("lb1", "web1", "web2", "db1")
EVERY = ("nftables", "sudo", "systemd-timesyncd", "unattended-upgrades")
INSTALLED = {"lb": (*EVERY, "haproxy"), "web": (*EVERY, "python3.11"), "db": (*EVERY, "postgresql")}
ENVIRONMENT = (
    """
transport = "ssh"

"""
    + REACHED
    + HURRIED
)
STATE = "/var/lib/ihatemoney/state"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Adopt it, set four servers up, and deploy to them."""
    rpms.need_tools()
    folder = tmp_path_factory.mktemp("adopted")
    sdists.checkout(sdists.IHATEMONEY, folder / "app")
    with switched_on(folder / "slipway", ENVIRONMENT, HOSTS, INSTALLED) as made:
        text = (sdists.CONTRACTS / "ihatemoney/slipway.toml").read_text().replace('"APP"', '"../app"')
        link = 'links = { "var/ihatemoney-instance" = "instance" }\n'
        (made.path / "slipway.toml").write_text(link + text)
        shutil.copy(sdists.CONTRACTS / "ihatemoney/slipway.lock", made.path)
        made.contract = contracts.read(made.path)
        release(made)
        build(made, "rpm")
        assert any("-release-" in path.name for path in (made.path / "dist").glob("*.rpm"))
        made.fab("bootstrap:fleet")
        made.bundle = made.secrets["TLS_CERTIFICATE"]
        made.fab("deploy:fleet", "--json")
        yield made


def release(site: Servers) -> str:
    """Build what the application's checkout has; give its version."""
    return str(json.loads(build(site, "release"))["version"])


def build(site: Servers, what: str) -> str:
    """Build as `make` does."""
    command = [sys.executable, "-m", "deploy.artifacts", what, "--json"]
    done = subprocess.run(command, cwd=site.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def visitor(site: Servers) -> Browser:
    """Come in by the front door."""
    return Browser(site.environment.url, first_certificate(site.bundle))


@pytest.fixture(scope="module")
def trip(site: Servers) -> Browser:
    """Somebody who has made a trip, with Grace on it."""
    person = visitor(site)
    fields = {"password": "secret", "contact_email": "ada@example.org", "default_currency": "XXX"}
    person.post("/create", name="trip", **fields)
    person.post("/trip/", to="/trip/members/add", name="Grace", weight="1")
    return person


@dataclass(frozen=True)
class Second:
    """A second version that was rolled out under traffic: what ran before, what after, and what users saw."""

    before: set[str]
    version: str
    during: Summary


@pytest.fixture(scope="module")
def second(site: Servers, trip: Browser) -> Second:
    before = site.versions()
    app = site.path.parent / "app"
    sdists.next_version(app, "ihatemoney/templates/layout.html", "</body>", "<!-- second edition --></body>")
    version = release(site)
    with site.traffic(clients=4, rate=20) as during:
        site.fab("deploy:fleet", "--json")
        assert site.versions() == {version}
        assert "second edition" in visitor(site).get("/")
    return Second(before, version, during[0])


def test_its_pages_are_used_through_the_balancer(trip: Browser) -> None:
    assert all("Grace" in trip.get("/trip/") for _ in range(4)), "a session counts on each server"


def test_what_it_keeps_and_reads_is_its_users_alone(site: Servers) -> None:
    web = site["web1"]
    linked = "readlink --canonicalize /opt/ihatemoney/current/release/var/ihatemoney-instance"
    assert web.run(linked).stdout.strip() == f"{STATE}/instance"
    assert web.run(f"stat --format '%a %U' {STATE}/instance").stdout.split() == ["700", "ihatemoney"]
    assert web.run(f"stat --format '%a %U' {STATE}/ihatemoney.cfg").stdout.split() == ["600", "ihatemoney"]
    password = site.secrets["DATABASE_OWNER_PASSWORD"]
    assert web.run(f"cat {STATE}/.pgpass").stdout == f"*:*:*:ihatemoney_owner:{password}\n"
    assert web.run(f"stat --format '%a %U' {STATE}/.pgpass").stdout.split() == ["600", "ihatemoney"]
    for path in (f"{STATE}/ihatemoney.cfg", "/opt/ihatemoney/current/release/manifest.json"):
        assert password not in web.run(f"cat {path}").stdout


def test_a_second_version_loses_no_request_and_old_code_is_not_brought_back(site: Servers, second: Second) -> None:
    during = second.during
    assert (during.failed, during.requests > 20) == (0, True), (during.failures, during)
    # It ran its migrations again, and nobody can know that there were none.
    assert 'rollback = "needs-db-restore"' in site.fab("rollback:fleet", expect=2).err
    assert second.before != {second.version}


def test_going_back_is_the_backup_and_then_the_older_version(site: Servers, second: Second) -> None:
    """What the deploy before kept; what users wrote since is gone, which a person has to say yes to."""
    version = min(site.status()["web1"].generations, key=lambda generation: generation.number).version
    assert {version} == second.before != site.versions()
    visitor(site).post("/create", name="since", password="x" * 8, contact_email="a@example.org", default_currency="XXX")
    assert "before migrations that older code refuses to run after" in site.fab("backups:fleet").out
    site.fab("restore:fleet", "--backup", "latest", "--yes")
    site.fab("deploy:fleet", "--version", version)
    assert site.versions() == {version}
    person = visitor(site)
    assert "second edition" not in person.get("/")
    person.post("/authenticate", id="trip", password="secret")
    assert "Grace" in person.get("/trip/")
