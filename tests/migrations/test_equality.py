"""A schema that is not what the models say is found, wherever the database comes from."""

from __future__ import annotations

from pathlib import Path

from tests.migrations import equality
from tests.migrations.corpus import SAFE, tree
from tests.migrations.databases import Sqlite
from tests.migrations.trees import ROOT, VERSIONS, Tree
from tests.support.releases import change


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "databases"
    made.mkdir()
    return made


def test_a_column_that_no_model_has(tmp_path: Path) -> None:
    new = tree(tmp_path / "new", [("case", SAFE["a column that may be NULL"])])
    problems = equality.check(new, [], Sqlite(folder(tmp_path)))
    assert [problem.partition(":")[0] for problem in problems] == [
        "sqlite, from nothing",
        "sqlite, from nothing, step by step",
    ]
    assert all("nickname" in problem for problem in problems)


def test_a_migration_that_was_changed_after_its_release(tmp_path: Path) -> None:
    """From nothing all is well; who has that release's schema lacks what was put in later."""
    old = tree(tmp_path / "v1.0.0", [])
    path = VERSIONS / "0001_initial.py"
    text = (ROOT / path).read_text()
    assert 'sa.Column("part_of", sa.Integer),' in text
    change(
        old.root,
        {path.as_posix(): text.replace('sa.Column("part_of", sa.Integer),', "").replace('"z", "part_of"', '"z"')},
    )
    (problem,) = equality.check(Tree(ROOT, "this checkout"), [old], Sqlite(folder(tmp_path)))
    assert problem.startswith("sqlite, from v1.0.0: ")
    assert "part_of" in problem
