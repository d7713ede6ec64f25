"""gazetteer from nothing to served, and from release to release under traffic: all of it is real."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from app.database.revisions import read_revisions
from deploy.artifacts import ReleaseTree
from tests.local.conftest import ROOT, Site, make_site
from tests.support import releases


@pytest.fixture(scope="module")
def base() -> ReleaseTree:
    """Build the release of this checkout."""
    return releases.base()


@pytest.fixture(scope="module")
def newer() -> ReleaseTree:
    """Build a release that differs in one line."""
    about = (ROOT / "app/about.py").read_text()
    return releases.variant("newer", {"app/about.py": about + "\n# One line more.\n"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree) -> Iterator[Site]:
    """Set a site up and deploy this checkout's release to it, schema and places included."""
    made = make_site(tmp_path_factory.mktemp("site"), ships="gazetteer")
    try:
        made.fab("bootstrap:local")
        done = [e["step"]["kind"] for e in made.deploy(base).events if e["event"] == "end"]
        assert done.count("migrate") == done.count("seed") == 1
        yield made
    finally:
        made.destroy()


def ask(site: Site, path: str) -> tuple[int, str, dict[str, Any]]:
    """Ask through the load balancer: status, content type, JSON."""
    try:
        with urllib.request.urlopen(site.url + path, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], json.load(error)


def test_the_application_answers_through_the_load_balancer(site: Site) -> None:
    status, _, found = ask(site, "/api/v1/places?q=lisb")
    assert (status, found["items"][0]["name"]) == (200, "Lisbon")
    status, _, near = ask(site, "/api/v1/places/nearest?lat=48.86&lon=2.35")
    assert (status, near["items"][0]["name"]) == (200, "Paris")
    for path, code in (("/nothing-here", 404), ("/api/v1/places/nearest?lat=north", 422)):
        status, content_type, problem = ask(site, path)
        assert (status, content_type, problem["status"]) == (code, "application/problem+json", code)


def test_there_and_back_under_sixteen_keep_alive_clients_loses_nothing(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    with site.traffic(clients=16, rate=200.0) as probed:
        site.deploy(newer)
        assert site.versions() == {newer.version}
        site.fab("rollback:local")
        assert site.versions() == {base.version}
        site.fab("rollback:local", expect=2)  # there is nothing before the first
        site.deploy(newer)
    (summary,) = probed
    assert summary.failed == 0, summary
    assert summary.requests > 300


def test_invalid_variables_are_all_reported_before_a_host_is_touched(site: Site, base: ReleaseTree) -> None:
    before, pids = site.status(), site.pids()
    with (
        site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "LOUD"'),
        site.edited('"sqlite:///{directory}/db/gazetteer.sqlite3"', '"nowhere"'),
        site.edited('secrets = ["SECRET_KEY"]', "secrets = []"),
    ):
        result = site.fab("deploy:local", "--version", base.version, expect=2)
    for variable in ("LOG_LEVEL", "DATABASE_URL", "SECRET_KEY"):
        assert f"{variable}: expected" in result.err
    assert "nothing was touched" in result.err
    assert site.pids() == pids
    assert {n: h.current for n, h in site.status().items()} == {n: h.current for n, h in before.items()}


def test_run_runs_in_the_current_generation_and_keeps_the_exit_code(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    assert read_revisions()[-1].revision in site.fab("run:local", "db current").out
    unknown = site.fab("run:local", "no-such-command", expect=2)
    assert "No such command" in unknown.err


def test_no_secret_is_readable_by_others_nor_in_ledger_log_or_status(site: Site, base: ReleaseTree) -> None:
    secret = (site.directory / "secrets" / "SECRET_KEY").read_text()
    exposed = []
    for path in site.directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and "store" not in path.parts and "releases" not in path.parts:
            holds = secret.encode() in path.read_bytes()
            if holds and (path.stat().st_mode & 0o077 or "credentials" not in path.parts):
                exposed.append(path)
    assert exposed == [site.directory / "secrets" / "SECRET_KEY"]
    assert (exposed[0].stat().st_mode & 0o777) == 0o600
    assert secret not in site.fab("status:local", "--json").out + site.fab("releases:local", "--json").out
