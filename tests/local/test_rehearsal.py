"""A migration that breaks what runs is refused before it runs, by what the running release says itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, own_site
from tests.support import releases

MIGRATION = '''"""{what}."""

revision = "0002"
down_revision = "0001"
kind = "expand"
reviewed = {{"sql": "for the rehearsal"}}


def upgrade(database):
    database.execute("{what}")
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree) -> Iterator[Site]:
    """Make a site whose database is of no use to others afterwards."""
    with own_site(tmp_path_factory.mktemp("site"), base) as made:
        yield made


def bringing(name: str, what: str) -> ReleaseTree:
    """Build a release with one migration more."""
    return releases.kiosk(name, {"kiosk/migrations/m0002_next.py": MIGRATION.format(what=what)})


def test_a_migration_that_breaks_what_runs_is_refused_and_one_that_does_not_runs(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    breaking = bringing("renaming", "ALTER TABLE goods RENAME COLUMN name TO title")
    refused = site.deploy(breaking, expect=20)
    last = json.loads(refused.out.splitlines()[-1])
    assert "migration 0002 breaks generation" in last["message"]
    assert "nothing changed" in last["message"]
    assert "no such column: name: SELECT name FROM goods" in " ".join(last["problems"])
    assert "rehearse = false" in last["hint"]
    fine = bringing("widening", "ALTER TABLE goods ADD COLUMN colour TEXT")
    assert "rehearse" in site.fab("plan:local", "--version", fine.version).out
    done = site.deploy(fine)
    ended = [entry for entry in map(json.loads, done.out.splitlines()) if entry["event"] == "end"]
    steps = [entry["step"]["kind"] for entry in ended]
    assert steps.index("rehearse") + 1 == steps.index("migrate")
    assert list((site.directory / "db").glob("*_rehearsal")) == []
    again = site.deploy(base)
    assert '"rehearse"' not in again.out, "nothing migrates, so nothing is asked"
