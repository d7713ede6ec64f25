"""ihatemoney, as published, on PostgreSQL: settings in a file, and migrations that it runs whenever it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.adopting import Adopted, adopted
from tests.support import postgres as support
from tests.support import sdists
from tests.support.browser import Browser
from tests.support.postgres import Cluster

REVISION = '''"""One more."""

import sqlalchemy as sa
from alembic import op

revision = "aaaaaaaaaaaa"
down_revision = "{last}"


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("notes")
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server with the role and the empty database that Salt makes."""
    support.needed()
    with support.folder() as folder:
        support.make_data(folder / "data")
        with support.running(folder / "data") as server:
            server.sql("CREATE ROLE ihatemoney LOGIN")
            server.sql("CREATE DATABASE ihatemoney OWNER ihatemoney")
            yield server


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Adopted]:
    """Adopt it, and set `local` up."""
    url = f"postgresql+psycopg2://ihatemoney@/ihatemoney?host={cluster.folder}&port={cluster.port}"
    with adopted(tmp_path_factory.mktemp("money"), sdists.IHATEMONEY, "ihatemoney") as site:
        backups = "[backup]\ncontract = false\n"  # nothing that an environment of one computer could back up
        text = f'{site.environment.read_text()}\n{backups}[variables]\nDATABASE_URL = "{url}"\n'
        site.environment.write_text(text)
        site.release()
        site.fab("bootstrap:local")
        yield site


def test_it_migrates_alone_before_anything_serves(money: Adopted, cluster: Cluster) -> None:
    steps = money.steps(money.fab("deploy:local", "--json"))
    assert steps.count("migrate") == 1
    assert steps.index("migrate") < steps.index("trial"), "a trial would migrate, too, on each host at once"
    assert cluster.sql("SELECT count(*) FROM alembic_version", "ihatemoney") == "1"


def test_its_pages_are_used_through_the_balancer(money: Adopted, cluster: Cluster) -> None:
    visitor = Browser(money.url)
    fields = {"password": "secret", "contact_email": "ada@example.org", "default_currency": "XXX"}
    assert "trip" in visitor.post("/create", name="trip", **fields)
    assert "Grace" in visitor.post("/trip/", to="/trip/members/add", name="Grace", weight="1")
    assert all("Grace" in visitor.get("/trip/") for _ in range(4)), "a session counts on each server"
    assert cluster.sql("SELECT name FROM person", "ihatemoney") == "Grace"


def test_a_version_that_migrates_loses_no_request_and_old_code_is_not_brought_back(
    money: Adopted, cluster: Cluster
) -> None:
    last = cluster.sql("SELECT version_num FROM alembic_version", "ihatemoney")
    before = len(list((money.app / "ihatemoney/migrations/versions").glob("*.py")))
    sdists.change_and_commit(
        money.app, {f"ihatemoney/migrations/versions/{before}_notes.py": REVISION.format(last=last)}
    )
    made = money.release()
    planned = money.fab("plan:local", "--version", made["version"]).out
    assert "older code does not run after it, and no backup is made here: [backup] contract is false" in planned
    with money.traffic() as during:
        assert money.steps(money.fab("deploy:local", "--json")).count("migrate") == 1
    assert (during[0].failed, during[0].requests > 10) == (0, True), during[0]
    assert cluster.sql("SELECT count(*) FROM notes", "ihatemoney") == "0"
    refused = money.fab("rollback:local", expect=2)
    assert 'rollback = "needs-db-restore"' in refused.err
    assert money.unchanged
