"""A contract migration on its way: it waits, it runs when nothing needs the old shape, and bars what is from before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, own_site
from tests.support import releases

DROP = '''"""The table of old is gone."""

revision = "0002"
down_revision = "0001"
kind = "contract"
reviewed = {"sql": "nobody reads the table any more"}


def upgrade(database):
    database.execute("DROP TABLE IF EXISTS of_old")
'''
BEHIND = DROP.replace("0001", "0002x").replace('0002"', '0003"').replace("0002x", "0002").replace("contract", "expand")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree) -> Iterator[Site]:
    """Make a site whose database is of no use to others afterwards."""
    with own_site(tmp_path_factory.mktemp("site"), base) as made:
        yield made


@pytest.fixture(scope="module")
def dropping() -> ReleaseTree:
    """Build a release that brings a contract migration."""
    return releases.kiosk("dropping", {"kiosk/migrations/m0002_drop.py": DROP})


@pytest.fixture(scope="module")
def behind() -> ReleaseTree:
    """Build one that needs an expand migration behind it."""
    files = {"kiosk/migrations/m0002_drop.py": DROP, "kiosk/migrations/m0003_more.py": BEHIND}
    return releases.kiosk("behind", files)


def revisions(site: Site) -> list[str]:
    """Say what the database has."""
    (database,) = (site.directory / "db").glob("*.sqlite3")
    with closing(sqlite3.connect(database)) as connection:
        return sorted(row[0] for row in connection.execute("SELECT name FROM revision"))


def test_a_contract_migration_waits_runs_and_bars_what_is_from_before(
    site: Site, base: ReleaseTree, newer: ReleaseTree, dropping: ReleaseTree, behind: ReleaseTree
) -> None:
    site.ensure(base)
    before = site.status()["web1"].current
    refused = site.deploy(behind, expect=2)
    assert "0003 comes after contract migration 0002, which has to wait" in refused.err
    assert "waits: generation" in site.fab("plan:local", "--version", dropping.version).out
    site.deploy(dropping)
    assert revisions(site) == ["0001"], "the release before may come back, and was made for the shape before it"
    refused = site.fab("contract:local", expect=2)
    assert f"waits: generation {before}" in refused.err
    site.fab("rollback:local")
    site.deploy(dropping)

    site.fab("prune:local", "--keep", "1")
    in_the_way = site.root("web1") / "backups"
    in_the_way.write_text("")
    failed = site.fab("contract:local", expect=20)
    assert "failed at backup on web1" in failed.out
    assert revisions(site) == ["0001"], "without a backup nothing is dropped"
    in_the_way.unlink()
    done = site.fab("contract:local", "--json")
    steps = [e["step"]["kind"] for e in map(json.loads, done.out.splitlines()) if e["event"] == "end"]
    assert steps == ["rehearse", "backup", "migrate"]
    assert json.loads(done.out.splitlines()[-1])["exit"] == 0
    assert revisions(site) == ["0001", "0002"]
    site.fab("contract:local", expect=10)

    (made,) = json.loads(site.fab("backups:local", "--json").out)["backups"]
    assert (made["about"]["revision"], made["about"]["contracts"]) == ("0001", [])
    assert "before 0002 takes away" in site.fab("backups:local").out
    assert "There is no terminal" in site.fab("restore:local", "--backup", "latest", expect=2).err
    site.fab("restore:local", "--backup", made["identifier"], "--yes")
    assert revisions(site) == ["0001"], "what was dropped is there again, and is not dropped by the way"
    assert all(host.in_service for host in site.status().values())
    site.fab("plan:local", "--version", newer.version)  # from before it: what it needs is there again
    site.fab("contract:local")
    assert revisions(site) == ["0001", "0002"]
    site.deploy(releases.kiosk("dropping-more", {"kiosk/migrations/m0002_drop.py": DROP, "kiosk/more.py": ""}))
    site.fab("prune:local", "--keep", "1")  # and the mark of whoever ran it
    refused = site.deploy(newer, expect=2)
    assert f"contract migration 0002 ran, and {newer.version} is from before" in refused.err
    site.deploy(behind)
    assert revisions(site) == ["0001", "0002", "0003"]
    site.fab("rollback:local")
    assert all(host.in_service for host in site.status().values())
