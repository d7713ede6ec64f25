"""From one column to two: this release and the next work on all schemas that they can meet, on each database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database.engine import make_engine
from app.database.migrate import disposed
from app.database.target import Target
from deploy.artifacts.migrations import read
from tests.migrations import squawk
from tests.migrations.databases import Databases, Postgresql, Sqlite, Urls
from tests.migrations.story import next_release
from tests.migrations.trees import ROOT, VERSIONS, Tree
from tests.support.postgres import DATABASES

pytestmark = pytest.mark.timeout(1800)  # many processes, one after another: a busy computer takes its time
THIS = Tree(ROOT, "this checkout")
SPEAK = """
import json, sys
from datetime import UTC, datetime
from app.database.engine import make_engine
from app.database.session import Session
from app.database.target import Target
from app.users.repository import SqlUserRepository
with Session(make_engine(Target(sys.argv[1]))) as session:
    users = SqlUserRepository(session)
    if sys.argv[2]:
        users.add(f"{sys.argv[2]}@example.org", "Ada Byron " + sys.argv[2], "x", datetime.now(UTC))
        session.commit()
    print(json.dumps([user.name for n in range(1, 9) if (user := users.by_id(n))]))
"""


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return next_release(tmp_path_factory.mktemp("next") / "next")


@pytest.fixture(params=[name for name in DATABASES if name != "mariadb"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return Sqlite(tmp_path) if request.param == "sqlite" else Postgresql(request.getfixturevalue("postgres"))


@pytest.fixture
def urls(databases: Databases) -> Iterator[Urls]:
    with databases.empty() as made:
        yield made


def speak(tree: Tree, urls: Urls, add: str = "") -> list[str]:
    """Let a release add a user and read all."""
    return list(json.loads(tree.run([tree.python, "-c", SPEAK, urls.app, add])))


def test_each_release_reads_what_the_others_wrote(after: Tree, urls: Urls) -> None:
    THIS.app(urls.owner, "db", "upgrade")
    speak(THIS, urls, "1")
    with disposed(make_engine(Target(urls.app))) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE users SET given_name = NULL, family_name = NULL"))  # as the release before
    expand, promise, contract = (entry.revision for entry in after.revisions()[-3:])
    after.app(urls.owner, "db", "upgrade", expand)
    speak(THIS, urls, "2")
    assert "finished" in THIS.app(urls.app, "backfill", "run", "users.split-names")
    assert speak(after, urls, "3") == ["Ada Byron 1", "Ada Byron 2", "Ada Byron 3"]
    assert speak(THIS, urls) == ["Ada Byron 1", "Ada Byron 2", "Ada Byron 3"], "after a rollback"
    after.app(urls.owner, "db", "upgrade", promise)
    assert len(speak(after, urls, "4")) == 4
    after.app(urls.owner, "db", "upgrade", contract)
    assert len(speak(after, urls, "5")) == 5
    after.script("compare.py", urls.owner)  # the schema is that of its models


def test_without_the_backfill_the_contract_fails_and_changes_nothing(after: Tree, urls: Urls) -> None:
    THIS.app(urls.owner, "db", "upgrade")
    speak(THIS, urls, "1")
    with disposed(make_engine(Target(urls.app))) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE users SET given_name = NULL, family_name = NULL"))
    with pytest.raises(Exception, match=r"(?i)violated by some row|NOT NULL"):
        after.app(urls.owner, "db", "upgrade")
    assert speak(THIS, urls) == ["Ada Byron 1"]


def test_the_linters_let_it_through(after: Tree) -> None:
    assert [entry.kind for entry in read(after.root, str(VERSIONS))][-3:] == ["expand", "contract", "contract"]
    assert squawk.check(after, since=THIS.revisions()[-1].revision) == []
