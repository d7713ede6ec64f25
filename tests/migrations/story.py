"""The last chapter of the story of users' names: the release after this one, which knows the one column no more.

This checkout writes both and reads the two (app/users/repository.py), so its rows are good for a release that does not
know the one. What is written here becomes that release: its migrations, and what its code leaves out.
"""

from __future__ import annotations

from pathlib import Path

from tests.migrations.corpus import tree
from tests.migrations.trees import Tree

EXPAND = """with op.batch_alter_table("users") as users:
        users.alter_column("name", existing_type=sa.String(100), server_default="")"""
NEITHER = "given_name IS NOT NULL AND family_name IS NOT NULL"
PROMISE = f"""if op.get_context().dialect.name == "postgresql":
        # It checks what is written from now on, and scans nothing.
        op.create_check_constraint(op.f("ck_users_parts"), "users", "{NEITHER}", postgresql_not_valid=True)"""
CONTRACT = """if op.get_context().dialect.name == "postgresql":
        # It fails unless the backfill has come to its end.
        op.execute("ALTER TABLE users VALIDATE CONSTRAINT ck_users_parts")
    with op.batch_alter_table("users") as users:
        users.alter_column("given_name", existing_type=sa.String(100), nullable=False)
        users.alter_column("family_name", existing_type=sa.String(100), nullable=False)
        users.drop_column("name")
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_users_parts"), "users")"""
CHAPTERS = [("The name has a default", EXPAND), ("Both parts are promised", PROMISE), ("The one column goes", CONTRACT)]
KINDS = ["expand", "contract", "contract"]
REVIEWED = {"squawk:ban-drop-constraint": "NOT NULL says the same of both columns by then"}

TABLES = Path("app/users/tables.py")
REPOSITORY = Path("app/users/repository.py")
BACKFILLS = Path("app/users/backfills.py")
KNOWN = Path("app/backfills/known.py")
CHANGES = {
    TABLES: [
        ('    Column("name", String(100), nullable=False),\n', ""),
        ('Column("given_name", String(100))', 'Column("given_name", String(100), nullable=False)'),
        ('Column("family_name", String(100))', 'Column("family_name", String(100), nullable=False)'),
    ],
    REPOSITORY: [
        ("    (users.c.given_name.is_(None), users.c.name),\n", ""),
        ('return {"name": name, "given_name": given', 'return {"given_name": given'),
        (
            "row.name if row.given_name is None else joined_name(row.given_name, row.family_name)",
            "joined_name(row.given_name, row.family_name)",
        ),
    ],
    KNOWN: [("(*users.BACKFILLS,)", "()"), ("from app.users import backfills as users\n", "")],
}


def next_release(folder: Path) -> Tree:
    """Make the release after this checkout. Fails when the code here is not what the story goes on from."""
    made = tree(folder, CHAPTERS, KINDS, reviewed=[None, None, REVIEWED])
    for path, changes in CHANGES.items():
        text = (folder / path).read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{path}: expected once: {old}"
            text = text.replace(old, new)
        (folder / path).write_text(text)
    (folder / BACKFILLS).unlink()
    return made
