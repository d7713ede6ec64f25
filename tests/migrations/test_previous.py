"""Migrations told apart by the release before: its suite on the schema that they make, on a real PostgreSQL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.database.revisions import Revision
from tests.migrations import previous
from tests.migrations.corpus import BREAKING, SAFE, number, tree
from tests.migrations.databases import Postgresql, Urls
from tests.migrations.trees import ROOT, VERSIONS, Failed, Tree, exported, released
from tests.support.postgres import Cluster
from tests.support.releases import change, commit, git

pytestmark = pytest.mark.timeout(1800)  # many processes, one after another: a busy computer takes its time
ASKED = ("tests/contract/test_users.py", "tests/contract/test_places.py")  # enough to notice


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout as it is, as a release of a throwaway repository."""
    folder = tmp_path_factory.mktemp("repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "app", "tests", "pyproject.toml"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    commit(folder, "release")
    git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture(scope="module")
def old(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return exported(repository, released(repository)[-1], tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def databases(postgres: Cluster) -> Postgresql:
    return Postgresql(postgres)


@pytest.fixture(scope="module")
def rows(old: Tree, databases: Postgresql) -> Iterator[Urls]:
    """A database of the old release, with what its own suite has left there."""
    with previous.prepared(old, databases, databases.urls("full"), ASKED) as urls:
        yield urls


def test_what_is_safe_is_not_refused(old: Tree, databases: Postgresql, rows: Urls, tmp_path: Path) -> None:
    """All at once: one that broke something would be named."""
    assert previous.check(old, tree(tmp_path, list(SAFE.items())), databases, rows, ASKED) == []


# One that fails, one that is refused, one that does not come to its end. Each is a suite: the others take a minute.
TRIED = [*BREAKING] if os.environ.get("CORPUS") == "all" else ["a column dropped", "unique, and the rows are not"]


@pytest.mark.parametrize("name", TRIED)
def test_what_breaks_is_found(name: str, old: Tree, databases: Postgresql, rows: Urls, tmp_path: Path) -> None:
    (problem,) = previous.check(old, tree(tmp_path, [(name, BREAKING[name])]), databases, rows, ASKED)
    assert problem.startswith("postgresql: ")
    assert number() in problem
    if "rows" in name:
        assert "on the rows of v1.0.0" in problem
        assert "could not create unique index" in problem
    else:
        assert "breaks v1.0.0: tests/contract/" in problem
        assert re.search(r"failing request: (GET|POST) /api/v1/\S+ (500 \(\w+\.\S+: .+\)|409)", problem)


def test_what_is_not_undone_is_found(old: Tree, databases: Postgresql, rows: Urls, tmp_path: Path) -> None:
    """The corpus undoes nothing."""
    (problem,) = previous.and_back(old, tree(tmp_path, [*SAFE.items()][:1]), databases, rows)
    assert f"{number()} and back: " in problem
    assert "nickname" in problem


def test_of_several_the_one_that_breaks_is_named(old: Tree, databases: Postgresql, rows: Urls, tmp_path: Path) -> None:
    (safe, *_), bad = SAFE.items(), "a column dropped"
    new = tree(tmp_path, [safe, (bad, BREAKING[bad]), ("another", SAFE["one with a default"])])
    (problem,) = previous.check(old, new, databases, rows, ASKED)
    assert f"migration {number(2)} breaks v1.0.0" in problem


def test_a_contract_migration_and_what_follows_it_wait() -> None:
    known = [Revision("0001", None, "expand", "")]
    new = [*known, Revision("0002", "0001", "expand", ""), Revision("0003", "0002", "contract", "")]
    assert previous.coming(known, new) == ["0002"]
    assert previous.coming(new, new) == []
    assert previous.coming(new, known) == []
    later = [*new, Revision("0004", "0003", "expand", "")]
    assert previous.coming(known, later) == ["0002"]
    assert previous.coming(new, later) == ["0004"], "the release before knows the contract migration: it works after it"


def test_a_suite_that_cannot_be_asked_is_told(old: Tree, databases: Postgresql, tmp_path: Path) -> None:
    change(tmp_path, {"tests/contract/conftest.py": "# from before\n"})
    with (
        pytest.raises(Failed, match="can't be asked on a database that is given"),
        previous.prepared(Tree(tmp_path, "v0.1.0"), databases),
    ):
        pass


def test_a_suite_that_fails_on_its_own_schema_shows_nothing(old: Tree, databases: Postgresql, tmp_path: Path) -> None:
    shutil.copytree(old.root, tmp_path / "old")
    change(tmp_path / "old", {"tests/contract/test_places.py": "def test_it(server) -> None:\n    assert not server\n"})
    with (
        pytest.raises(Failed, match="fails on its own schema"),
        previous.prepared(Tree(tmp_path / "old", "v1.0.1"), databases, tests=ASKED),
    ):
        pass


def test_an_export_is_what_the_ref_has(repository: Path, old: Tree) -> None:
    assert (old.root / VERSIONS / "0001_initial.py").read_bytes() == (ROOT / VERSIONS / "0001_initial.py").read_bytes()
    assert not (old.root / ".git").exists()
    with pytest.raises(Failed, match="v9"):
        exported(repository, "v9", old.root.parent / "none")
