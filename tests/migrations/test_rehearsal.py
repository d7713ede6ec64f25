"""The corpus, asked by replaying: what the running release asks of the database, on what a migration makes of it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

from app.database.engine import make_engine
from app.database.metadata import metadata
from app.database.target import Target
from app.rehearsal import recording, scratch
from app.rehearsal.replay import replay, told
from deploy import rehearsal
from deploy.errors import SlipwayError
from deploy.plan import Kind, Step
from tests.migrations.corpus import BREAKING, SAFE, number, tree
from tests.migrations.databases import Postgresql, Urls
from tests.migrations.trees import ROOT, VERSIONS, Tree
from tests.support.postgres import OWNER, Cluster

THIS = Tree(ROOT, "this checkout")
HERE = THIS.revisions()[-1].revision
NAME = "rehearsed"
RECORDED = recording.read("postgresql")


def answer(url: str) -> rehearsal.Answer:
    """What this release says of a scratch copy."""
    return rehearsal.read(json.dumps(told(replay(Target(url), RECORDED), RECORDED)))


@pytest.fixture(scope="module")
def urls(postgres: Cluster) -> Iterator[Urls]:
    """A database in use, and one beside it for rehearsals, which Salt makes as well, for the owner may make none."""
    for name in (NAME, f"{NAME}{scratch.ENDING}"):
        postgres.make_roles(name)
    yield Postgresql(postgres).urls(NAME)
    for name in (NAME, f"{NAME}{scratch.ENDING}"):
        postgres.drop(name)


@pytest.fixture(scope="module")
def before(urls: Urls, postgres: Cluster) -> rehearsal.Answer:
    """What fails on the copy before any migration, which says nothing of those that come."""
    scratch.rehearse(Target(urls.owner), HERE)
    return answer(postgres.url(f"{NAME}{scratch.ENDING}"))


@pytest.fixture
def copy(before: rehearsal.Answer, postgres: Cluster) -> Iterator[str]:
    """The scratch copy once more, for one migration."""
    postgres.clone(f"{NAME}{scratch.ENDING}", "rehearsed_case")
    yield "rehearsed_case"
    postgres.drop("rehearsed_case")


def migrate(folder: Path, name: str, body: str, url: str) -> None:
    """Do one migration of the corpus, as Alembic would."""
    path = next((tree(folder, [(name, body)]).root / VERSIONS).glob("*_case.py"))
    spec = importlib.util.spec_from_file_location("case", path)
    assert spec
    assert spec.loader
    case: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    engine = make_engine(Target(url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
            with Operations.context(context), context.begin_transaction(_per_migration=True):
                case.upgrade()
            connection.commit()
    finally:
        engine.dispose()


@pytest.mark.parametrize("name", [*SAFE, *BREAKING])
def test_migrations_are_told_apart(
    name: str, copy: str, before: rehearsal.Answer, postgres: Cluster, tmp_path: Path
) -> None:
    migrate(tmp_path, name, {**SAFE, **BREAKING}[name], postgres.url(copy, OWNER))
    found = rehearsal.broken(before, answer(postgres.url(copy)))
    assert bool(found) == (name in BREAKING), found


def test_what_was_recorded_works_on_the_schema_of_this_checkout(before: rehearsal.Answer) -> None:
    """A recording that does not says that statements have changed: make record."""
    assert before.replayed == len(RECORDED) > 300
    refused = [error for error, _ in before.failed.values()]
    assert all("duplicate key" in error for error in refused), "two at once were refused when it was recorded, too"


def runner(new: Tree, urls: Urls, calls: list[str]) -> Callable[..., str]:
    """What the agent does: the new release makes the copy, the one that runs replays."""

    def run(command: str, *, to: str | None = None, generation: int | None = None) -> str:
        calls.append(f"{command} {to or generation}")
        return THIS.app(urls.app, "db", "replay") if generation else new.app(urls.owner, "db", command, to or "head")

    return run


def test_of_several_the_one_that_breaks_is_named_and_nothing_stays(
    urls: Urls, postgres: Cluster, tmp_path: Path
) -> None:
    bad = "a column dropped"
    (safe, *_), calls = SAFE.items(), list[str]()
    new = tree(tmp_path, [safe, (bad, BREAKING[bad]), ("another", SAFE["one with a default"])])
    pending = tuple(entry.revision for entry in new.revisions() if entry.revision > HERE)
    step = Step(Kind.REHEARSE, "web1", "", revision=HERE, pending=pending, asks=7)
    with pytest.raises(SlipwayError) as refused:
        rehearsal.rehearse(runner(new, urls, calls), step)
    assert f"migration {number(2)} breaks generation 7, which is running" in refused.value.message
    assert refused.value.problems[0].startswith("column users.name does not exist: SELECT users.id, ")
    assert calls[-1] == "rehearse base"
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", f"{NAME}{scratch.ENDING}") == "0"
