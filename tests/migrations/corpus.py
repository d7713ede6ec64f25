"""Migrations of the reference application that the release before survives, and such that it does not.

All say `kind = "expand"`: the linter would refuse most of those that break, and here nobody asks it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.migrations.trees import ROOT, VERSIONS, Tree

TEMPLATE = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
kind = "{kind}"
reviewed = {reviewed!r}


def upgrade() -> None:
    """Apply."""
    {body}


def downgrade() -> None:
    """Nothing."""
'''

SAFE = {
    "a column that may be NULL": 'op.add_column("users", sa.Column("nickname", sa.String(50)))',
    "one with a default": 'op.add_column("places", sa.Column("r", sa.Integer, server_default="0", nullable=False))',
    "a table": (
        'op.create_table("visits", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False))'
    ),
    "an index, built beside": (
        "with op.get_context().autocommit_block():\n"
        '        op.create_index("ix_users_created", "users", ["created_at"],'
        " postgresql_concurrently=True, if_not_exists=True)"
    ),
    "more room": 'op.alter_column("users", "name", type_=sa.String(300))',
    "a check that all rows meet": (
        'op.create_check_constraint("later", "users", "created_at > \'2000-01-01\'", postgresql_not_valid=True)'
    ),
    "an index less": (
        "with op.get_context().autocommit_block():\n"
        '        op.drop_index("ix_places_position", postgresql_concurrently=True, if_exists=True)'
    ),
    "a default": 'op.alter_column("users", "active", server_default=sa.true())',
    "a foreign key that rows may lack": (
        'op.add_column("users", sa.Column("home", sa.Integer))\n'
        '    op.create_foreign_key("home", "users", "places", ["home"], ["id"], postgresql_not_valid=True)'
    ),
    "NULL allowed": 'op.alter_column("users", "name", existing_type=sa.String(300), nullable=True)',
}
BREAKING = {
    "a column dropped": 'op.drop_column("users", "name")',
    "a column renamed": 'op.alter_column("places", "population", new_column_name="inhabitants")',
    "a table renamed": 'op.rename_table("api_tokens", "tokens")',
    "a column that must be filled, empty before": (
        'op.add_column("users", sa.Column("plan", sa.String(9), nullable=False, server_default="free"))\n'
        '    op.alter_column("users", "plan", server_default=None)'
    ),
    "a check that is not met by what it writes": (
        'op.create_check_constraint("short", "users", "length(password_hash) < 50", postgresql_not_valid=True)'
    ),
    "unique, and the rows are not": 'op.create_unique_constraint("one", "api_tokens", ["user_id"])',
    "another type": 'op.alter_column("places", "latitude", type_=sa.String(20))',
    "a table dropped": 'op.drop_table("place_names")',
    "less room": 'op.alter_column("users", "email", type_=sa.String(12), postgresql_using="left(email, 12)")',
    "NULL no more": (
        'op.add_column("api_tokens", sa.Column("colour", sa.String(9)))\n'
        "    op.execute(\"UPDATE api_tokens SET colour = 'blue'\")\n"
        '    op.alter_column("api_tokens", "colour", nullable=False)'
    ),
    "a right taken away": 'op.execute("REVOKE SELECT ON places FROM gazetteer")',
    "a default dropped": 'op.alter_column("users", "id", server_default=None)',
}

BLOCKING = {
    "an index": 'op.create_index("ix_slow", "users", ["password_hash"])',
    "an index less": 'op.drop_index("ix_slow", "users")',
    "unique": 'op.create_unique_constraint("uq_slow", "users", ["password_hash", "id"])',
    "a foreign key": 'op.create_foreign_key("fk_slow", "users", "users", ["id"], ["id"])',
    "a check": 'op.create_check_constraint("ck_slow", "users", "length(password_hash) > 9")',
    "a check, validated in the same transaction": (
        'op.create_check_constraint(op.f("ck_late"), "users", "length(password_hash) > 8", postgresql_not_valid=True)\n'
        '    op.execute("ALTER TABLE users VALIDATE CONSTRAINT ck_late")'
    ),
    "NOT NULL": 'op.alter_column("users", "last_login_at", nullable=False)',
    "another type": 'op.alter_column("users", "id", type_=sa.BigInteger)',
    "a default that each row asks for": (
        'op.add_column("users", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()")))'
    ),
    "rows": 'op.execute("UPDATE users SET active = true")',
}
"""What the release before may survive, and who uses a large table does not: it is locked for long."""


def number(further: int = 1) -> str:
    """Return the number of a migration that comes after this checkout's."""
    return f"{int(Tree(ROOT, 'this checkout').revisions()[-1].revision) + further:04}"


def tree(folder: Path, bodies: Sequence[tuple[str, str]], kinds: Sequence[str] = (), reviewed: object = None) -> Tree:
    """Make a tree of this checkout's application with more migrations, each a name and its body.

    ``reviewed`` are the exceptions of all of them, or a list of those of each.
    """
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    made = Tree(folder, folder.name)
    last = made.revisions()[-1].revision
    for number, (name, body) in enumerate(bodies, int(last) + 1):
        position = number - int(last) - 1
        kind = kinds[position] if kinds else "expand"
        exceptions = reviewed[position] if isinstance(reviewed, list) else reviewed
        names = {"name": name, "revision": f"{number:04}", "before": f"{number - 1:04}"}
        text = TEMPLATE.format(**names, kind=kind, body=body, reviewed=exceptions or {})
        (folder / VERSIONS / f"{number:04}_case.py").write_text(text)
    return made
