"""A whole rollout on PostgreSQL: migrated as the role that owns the schema, served as the one that has rows only."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.database.revisions import read_revisions
from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, make_site
from tests.support import releases
from tests.support.postgres import NAME, OWNER, PASSWORDS, READER, Cluster

SECRETS = {"DATABASE_PASSWORD": NAME, "DATABASE_OWNER_PASSWORD": OWNER}
MIGRATE = """
[migrate.variables]
DATABASE_URL = "{url}"
[migrate.secrets]
DATABASE_PASSWORD = "DATABASE_OWNER_PASSWORD"
"""
LAST = read_revisions()[-1].revision
NUMBER = f"{int(LAST) + 1:04}"

REVISION = f'''"""Notes."""

import sqlalchemy as sa
from alembic import op

revision = "{NUMBER}"
down_revision = "{LAST}"
kind = "expand"


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String(100)))


def downgrade() -> None:
    op.drop_table("notes")
'''


@pytest.fixture(scope="module")
def migrating() -> ReleaseTree:
    """Build a release that has one table more."""
    return releases.variant("notes", {f"app/migrations/versions/{NUMBER}_notes.py": REVISION})


@pytest.fixture
def site(tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with on_postgresql(tmp_path / "site", postgres, monkeypatch) as made:
        yield made


@contextmanager
def on_postgresql(path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Give a site on a database that is one migration behind, filled so that nobody waits for that."""
    postgres.clone("full", "rollout")
    made = make_site(path, ships="gazetteer")
    made.edit("sqlite:///{directory}/db/gazetteer.sqlite3", postgres.tcp_url("rollout"))
    made.edit('secrets = ["SECRET_KEY"]', 'secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]')
    text = made.environment.read_text() + MIGRATE.format(url=postgres.tcp_url("rollout", OWNER))
    made.environment.write_text(text)
    for name, role in SECRETS.items():
        monkeypatch.setenv(f"SLIPWAY_LOCAL_{name}", PASSWORDS[role])
    try:
        made.fab("bootstrap:local")
        yield made
    finally:
        made.destroy()
        postgres.drop("rollout")


def with_word(root: Path, word: str) -> list[str]:
    """Every file below that has a word in it."""
    return [str(path) for path in root.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_the_owner_migrates_and_the_app_serves(site: Site, migrating: ReleaseTree, postgres: Cluster) -> None:
    """And no host has seen the owner's password for longer than its command took."""
    with site.edited('"DATABASE_OWNER_PASSWORD"', '"NOT_THERE"'):
        refused = site.fab("deploy:local", "--version", migrating.version, expect=None)
        assert refused.code not in (0, 10)
        assert "NOT_THERE" in refused.err
        assert all(host.generations == () for host in site.status().values()), "nothing was touched"
    with site.edited(postgres.tcp_url("rollout", OWNER), "postgresql+psycopg://nobody@/"):
        refused = site.fab("deploy:local", "--version", migrating.version, expect=None)
        assert "for migrate: DATABASE_URL: expected" in refused.err
    done = site.deploy(migrating)
    migrated = next(e for e in done.events if e["event"] == "end" and e["step"]["kind"] == "migrate")
    assert f"applied {NUMBER}" in json.dumps(migrated)
    with urllib.request.urlopen(f"{site.url}/api/v1/places?q=lisb", timeout=10) as answer:
        assert json.load(answer)["items"][0]["name"] == "Lisbon"
    assert postgres.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", "rollout") == OWNER
    seen = postgres.sql("SELECT reltuples FROM pg_class WHERE relname = 'places'", "rollout")
    assert int(seen) > 0, "analyzed by whoever seeded: there is no autovacuum here"
    for privilege, role in (("INSERT", NAME), ("SELECT", READER)):
        assert postgres.sql(f"SELECT has_table_privilege('{role}', 'notes', '{privilege}')", "rollout") == "t"
    assert postgres.sql(f"SELECT has_table_privilege('{NAME}', 'notes', 'TRUNCATE')", "rollout") == "f"
    seen = postgres.sql("SELECT DISTINCT usename || ': ' || application_name FROM pg_stat_activity", "rollout")
    assert f"{NAME}: gazetteer {migrating.version}" in seen
    assert OWNER not in seen
    for host in ("web1", "web2"):
        assert with_word(site.root(host), PASSWORDS[OWNER]) == []
        assert with_word(site.root(host), PASSWORDS[NAME]) == [
            str(site.root(host) / "generations/1/credentials/DATABASE_PASSWORD")
        ]
    assert PASSWORDS[OWNER] not in done.out + done.err
