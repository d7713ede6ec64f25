"""What squawk is asked, and what of its answers counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.artifacts.migration_lint import RULES
from tests.migrations import squawk
from tests.migrations.corpus import BLOCKING, BREAKING, SAFE, number, tree
from tests.migrations.trees import ROOT, Tree


def test_the_checkout_s_own_migrations_pass() -> None:
    assert squawk.check(Tree(ROOT, "this checkout")) == []


def test_squawk_knows_each_rule_and_so_do_we() -> None:
    program = Path(sys.executable).parent / "squawk"
    for rule in (*squawk.USED, *squawk.UNUSED):
        asked = subprocess.run([program, "--exclude", rule], input="", capture_output=True, text=True, check=False)
        assert asked.returncode == 0, asked.stderr
    assert not set(squawk.USED) & set(squawk.UNUSED)
    assert {name for names in squawk.USED.values() for name in names} <= set(RULES)


def found(tmp_path: Path, body: str, kind: str = "expand", reviewed: dict[str, str] | None = None) -> list[str]:
    made = tree(tmp_path / "case", [("case", body)], [kind], reviewed)
    return squawk.check(made, since=made.revisions()[-2].revision)  # those before it are the checkout's


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (BREAKING["a column dropped"], "ban-drop-column"),
        (BREAKING["a table renamed"], "renaming-table"),
        (BREAKING["unique, and the rows are not"], "disallowed-unique-constraint"),
        (BREAKING["another type"], "changing-column-type"),
        ('op.create_index("ix_x", "users", ["name"])', "require-concurrent-index-creation"),
        (
            'op.execute("ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()")',
            "adding-field-with-default",
        ),
        ('op.execute("ALTER TABLE users ALTER name DROP NOT NULL")', "ban-drop-not-null"),
        ('op.execute("ALTER TABLE users ALTER name SET NOT NULL")', "adding-not-nullable-field"),
        ('op.execute("ALTER TABEL users")', "syntax-error"),
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar()", "unprintable"),
    ],
)
def test_what_it_refuses(tmp_path: Path, body: str, rule: str) -> None:
    problems = found(tmp_path, body)
    assert any(problem.startswith(f"{number()}: squawk:{rule}: ") for problem in problems), problems


@pytest.mark.parametrize(
    "name", ["a column that may be NULL", "one with a default", "a table", "an index, built beside"]
)
def test_what_it_lets_through(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, SAFE[name]) == []


def test_a_contract_migration_may_drop() -> None:
    finding = {"rule_name": "ban-drop-column", "message": "Dropping", "help": None}
    assert squawk.wrong([finding], "contract", {}) == []
    assert squawk.wrong([finding], "expand", {}) == ["squawk:ban-drop-column: Dropping"]


def test_an_exception_of_ours_is_one_of_squawk_s(tmp_path: Path) -> None:
    reviewed = {"index": "two hundred rows, and never more"}
    assert found(tmp_path, 'op.create_index("ix_x", "users", ["name"])', reviewed=reviewed) == []


def test_an_exception_that_is_not_needed_is_refused(tmp_path: Path) -> None:
    body = 'op.execute("ALTER TABLE users ALTER name DROP NOT NULL")'
    reviewed = {"squawk:ban-drop-not-null": "no release reads it", "squawk:identifier-too-long": "left over"}
    assert found(tmp_path, body, reviewed=reviewed) == [
        f"{number()}: reviewed: 'squawk:identifier-too-long' is not needed: remove it"
    ]


@pytest.mark.parametrize("name", BLOCKING)
def test_what_locks_a_large_table_for_long_is_refused_by_one_of_the_two(tmp_path: Path, name: str) -> None:
    assert squawk.refused(tree(tmp_path / "case", [("case", BLOCKING[name])])) != []
