"""A corpus of migrations: what the old release or a busy table would not survive is told from what is safe."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

from deploy.artifacts.migration_lint import RULES, findings, problems

NEW = 'op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))\n'
BLOCK = "with op.get_context().autocommit_block():\n    "

DROPPED = 'op.drop_index("ix", "users", postgresql_concurrently=True, if_exists=True)\n'
LOOK = 'op.execute("SELECT count(*) FROM users")'
NOT_VALID = 'op.create_check_constraint("ck", "places", "latitude < 91", postgresql_not_valid=True)\n'
VALIDATED = 'op.execute("ALTER TABLE places VALIDATE CONSTRAINT ck")'
BATCH = 'with op.batch_alter_table("users") as b:\n    b.add_column(sa.Column("nick", sa.String(50)))\n'

SAFE_EXPANDS = {
    "a new table, with all that belongs to it": NEW
    + 'op.create_index("ix", "notes", ["id"])\nop.create_foreign_key("fk", "notes", "users", ["id"], ["id"])\n'
    + 'op.create_check_constraint("ck", "notes", "id > 0")\nop.create_unique_constraint("uq", "notes", ["id"])\n'
    + 'op.add_column("notes", sa.Column("must", sa.Integer, nullable=False))',
    "rows of a new table": 'kinds = op.create_table("kinds", sa.Column("id", sa.Integer))\nop.bulk_insert(kinds, rows)',
    "a nullable column": 'op.add_column("users", sa.Column("nick", sa.String(50)))',
    "a column with a default of the server": (
        'op.add_column("users", sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()))'
    ),
    "a column of a new table's batch": NEW
    + 'with op.batch_alter_table("notes") as b:\n    b.add_column(sa.Column("must", sa.Integer, nullable=False))',
    "an index that is built beside the traffic": (
        BLOCK + 'op.create_index("ix", "users", ["email"], postgresql_concurrently=True, if_not_exists=True)'
    ),
    "a constraint that is checked later": (
        'op.create_foreign_key("fk", "places", "users", ["owner"], ["id"], postgresql_not_valid=True)\n'
        'op.create_check_constraint("ck", "places", "latitude < 91", postgresql_not_valid=True)'
    ),
    "the check of a constraint": 'op.execute("ALTER TABLE places VALIDATE CONSTRAINT fk")',
    "the check of several, and then what it allows": (
        'op.execute("ALTER TABLE places VALIDATE CONSTRAINT fk")\n'
        'op.execute("ALTER TABLE places VALIDATE CONSTRAINT ck")\nop.drop_constraint("ck", "places")'
    ),
    "a look at what is locked no more": 'op.drop_constraint("ck", "users")\n' + BLOCK + DROPPED + LOOK,
    "a look beside a new table": NEW + LOOK,
    "a constraint out of an index": 'op.create_unique_constraint("uq", "users", [], postgresql_using_index="ix")',
    "a looser column": 'op.alter_column("users", "name", nullable=True)',
    "a default": 'op.alter_column("users", "active", server_default=sa.true())',
    "a constraint less": 'op.drop_constraint("ck", "users")',
    "words about a column": """op.execute(sa.text("COMMENT ON COLUMN users.name IS 'x'; SET work_mem = '1MB'"))""",
    "a new table, in SQL": 'op.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")',
    "a look": 'found = op.get_bind().scalar(sa.text("SELECT count(*) FROM users"))',
    "a way back, which is not read": "pass",
}
UNSAFE_EXPANDS = {
    "a table less": ('op.drop_table("users")', "drop-table"),
    "a column less": ('op.drop_column("users", "name")', "drop-column"),
    "a column less, in a batch": ('with op.batch_alter_table("users") as b:\n    b.drop_column("name")', "drop-column"),
    "another name of a column": ('op.alter_column("users", "name", new_column_name="full_name")', "rename"),
    "another name of a table": ('op.rename_table("users", "people")', "rename"),
    "a column that must be filled": (
        'op.add_column("users", sa.Column("x", sa.Integer, nullable=False))', "required-column",
    ),
    "no default": (
        'op.add_column("users", sa.Column("x", sa.Integer, nullable=False, server_default=None))', "required-column",
    ),
    "a column out of a variable": ('op.add_column("users", column)', "required-column"),
    "a stricter column": ('op.alter_column("users", "name", nullable=False)', "not-null"),
    "another type": ('op.alter_column("users", "id", type_=sa.BigInteger)', "change-type"),
    "an index that stops all writers": ('op.create_index("ix", "users", ["email"])', "index"),
    "an index less, the hard way": ('op.drop_index("ix", "users")', "drop-index"),
    "concurrently within a transaction": (
        'op.create_index("ix", "users", ["email"], postgresql_concurrently=True)', "concurrently",
    ),
    "concurrently within a transaction, in SQL": (
        'op.execute("CREATE INDEX CONCURRENTLY ix ON users (email)")', "concurrently",
    ),
    "an index that is there after a kill": (
        BLOCK + 'op.create_index("ix", "users", ["email"], postgresql_concurrently=True)', "resumable",
    ),
    "an index that is gone after a kill": (
        BLOCK + 'op.drop_index("ix", "users", postgresql_concurrently=True)', "resumable",
    ),
    "an index that is there after a kill, in SQL": (
        BLOCK + 'op.execute("CREATE INDEX CONCURRENTLY ix ON users (email)")', "resumable",
    ),
    "a unique constraint": ('op.create_unique_constraint("uq", "users", ["name"])', "unique"),
    "a unique column": ('op.add_column("users", sa.Column("nick", sa.String(9), unique=True))', "unique"),
    "a foreign key": ('op.create_foreign_key("fk", "places", "users", ["owner"], ["id"])', "foreign-key"),
    "a column with a foreign key": (
        'op.add_column("places", sa.Column("owner", sa.Integer, sa.ForeignKey("users.id")))', "foreign-key",
    ),
    "a check": ('op.create_check_constraint("ck", "users", "length(name) > 0")', "check"),
    "a constraint that is checked while its table is locked": (NOT_VALID + VALIDATED, "long-transaction"),
    "a look while a table is locked": (BATCH + LOOK, "long-transaction"),
    "rows that change": ("""op.execute("UPDATE users SET name = ''")""", "data"),
    "rows that change, behind other words": ("""op.execute("SET x = 1; DELETE FROM users")""", "data"),
    "rows of a table that was there": ("op.bulk_insert(users, [{}])", "data"),
    "rows by a connection": ('op.get_bind().execute(sa.text("INSERT INTO users VALUES (1)"))', "data"),
    "SQL of any kind": ('op.execute("ALTER TABLE users DROP COLUMN name")', "sql"),
    "a right less": ('op.execute("REVOKE SELECT ON places FROM gazetteer")', "sql"),
    "SQL out of a variable": ("op.execute(users.update().values(name=None))", "sql"),
    "a table whose name is computed": ('op.create_index("ix", table_of("users"), ["email"])', "index"),
    "a new table whose name is computed, too": (
        'op.create_table(named)\nop.create_index("ix", table_of("users"), ["email"])', "index",
    ),
    "what a function of its own does": ("helper()", "drop-table"),
    "what happens in a loop": ('for name in ("a", "b"):\n    op.drop_column("users", name)', "drop-column"),
    "what happens on a condition": ('if old:\n    pass\nelse:\n    op.drop_table("users")', "drop-table"),
}  # fmt: skip
SAFE_CONTRACTS = ("a table less", "a column less", "a stricter column", "a column that must be filled")


def revision(body: str) -> ast.Module:
    """Write a revision around the body of `upgrade`; its `downgrade` drops a table."""
    helper = 'def helper():\n    op.drop_table("users")\n    helper()\n'
    back = '\ndef downgrade():\n    op.drop_table("notes")\n'
    return ast.parse(helper + "def upgrade():\n" + textwrap.indent(body, "    ") + "\n" + back)


def broken(body: str, kind: str = "expand") -> set[str]:
    """Name the rules that a revision breaks."""
    return {found.rule.name for found in findings(revision(body), kind)}


@pytest.mark.parametrize("body", SAFE_EXPANDS.values(), ids=SAFE_EXPANDS)
def test_what_is_safe_passes(body: str) -> None:
    assert broken(body) == set()


@pytest.mark.parametrize(("body", "rule"), UNSAFE_EXPANDS.values(), ids=UNSAFE_EXPANDS)
def test_what_is_not_is_refused(body: str, rule: str) -> None:
    assert broken(body) == {rule}


@pytest.mark.parametrize("name", SAFE_CONTRACTS)
def test_a_contract_may_break_what_is_old(name: str) -> None:
    assert broken(UNSAFE_EXPANDS[name][0], "contract") == set()


def test_a_contract_may_not_block_a_busy_table() -> None:
    assert broken(UNSAFE_EXPANDS["a check"][0], "contract") == {"check"}


def test_every_rule_has_a_case() -> None:
    assert {rule for _, rule in UNSAFE_EXPANDS.values()} == set(RULES)


def test_every_rule_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/migrations.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (expand|both) \|", page, re.MULTILINE)
    assert dict(rows) == {name: "expand" if rule.kinds == ("expand",) else "both" for name, rule in RULES.items()}


def test_a_finding_has_its_line_and_what_to_do_instead() -> None:
    ((line, text),) = problems(revision('op.create_index("ix", "users", ["email"])'), "expand", None, 1)
    assert line == 5
    assert text.startswith("index: building ix blocks a busy table; postgresql_concurrently=True")


def test_an_exception_has_a_reason_and_is_needed() -> None:
    module = revision('op.create_index("ix", "users", ["email"])')
    assert problems(module, "expand", {"index": "the table has 200 rows"}, 3) == []
    unneeded = problems(module, "expand", {"index": "the table has 200 rows", "check": "there is none"}, 3)
    assert unneeded == [(3, "reviewed: 'check' is not needed: remove it")]
    assert "there is no rule 'indexes'" in problems(module, "expand", {"indexes": "the table has 200 rows"}, 3)[1][1]
    for reviewed in ({"index": "ok"}, ["index"], ..., {"index": 1}):
        assert "each with a reason" in problems(module, "expand", reviewed, 3)[0][1]
