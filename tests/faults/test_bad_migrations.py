"""A migration that the running release does not survive, on the reference application and a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site
from tests.local.test_postgresql import NUMBER, REVISION, on_postgresql
from tests.support import releases
from tests.support.postgres import OWNER, Cluster

NEXT = f"{int(NUMBER) + 1:04}"
BREAKS = f'''"""A column less, too soon: somebody has taken it for one that nobody reads."""

from alembic import op

revision = "{NEXT}"
down_revision = "{NUMBER}"
kind = "expand"
reviewed = {{"drop-column": "nobody reads it any more, I am sure"}}


def upgrade() -> None:
    op.drop_column("places", "timezone")


def downgrade() -> None:
    """Nothing."""
'''


@pytest.fixture
def site(tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site whose database has one for rehearsals beside it, as Salt makes it: the owner may make none."""
    postgres.make_roles("rollout_rehearsal")
    with on_postgresql(tmp_path / "site", postgres, monkeypatch) as made:
        yield made
    postgres.drop("rollout_rehearsal")


def bringing(name: str, **migrations: str) -> ReleaseTree:
    return releases.variant(name, {f"app/migrations/versions/{each}.py": text for each, text in migrations.items()})


def test_what_breaks_the_running_release_is_refused_by_its_own_statements(site: Site, postgres: Cluster) -> None:
    site.deploy(bringing("as-it-is"))
    notes = {f"{NUMBER}_notes": REVISION}
    breaking = bringing("a-column-less", **notes, **{f"{NEXT}_less": BREAKS})
    refused = site.deploy(breaking, expect=20)
    last = json.loads(refused.out.splitlines()[-1])
    assert f"migration {NEXT} breaks generation 1, which is running" in last["message"]
    assert "nothing changed" in last["message"]
    assert "column places.timezone does not exist: SELECT places.id" in " ".join(last["problems"])
    at = "SELECT version_num FROM alembic_version"
    assert int(postgres.sql(at, "rollout", OWNER)) < int(NUMBER)
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "rollout_rehearsal") == "0"
    assert all(host.in_service for host in site.status().values())

    done = site.deploy(bringing("notes", **notes))
    (asked,) = (e for e in done.events if e["event"] == "end" and e["step"]["kind"] == "rehearse")
    assert "none fails after it" in json.dumps(asked)
    assert postgres.sql(at, "rollout", OWNER) == NUMBER
