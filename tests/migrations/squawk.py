"""Let squawk judge the SQL of each migration after the first: what the linter of Alembic's operations can't see.

Rules that say the same as one of ours (deploy/artifacts/migration_lint.py) are excepted together with it, and in the
same kinds. An exception for another stands in the revision's `reviewed` as "squawk:RULE".
"""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.artifacts.migration_lint import RULES
from deploy.artifacts.migrations import MigrationError, read
from tests.migrations.trees import VERSIONS, Failed, Tree

PREFIX = "squawk:"
UNPRINTABLE = f"{PREFIX}unprintable"
POSTGRESQL = "15"  # Debian 12's
# Ours that say the same; those without any are squawk's alone.
USED: dict[str, tuple[str, ...]] = {
    "adding-field-with-default": (),  # a volatile default rewrites the table
    "adding-foreign-key-constraint": ("foreign-key",),
    "adding-not-nullable-field": (),  # scans the table, locked, unless a CHECK was validated before: the revision says
    "adding-required-field": ("required-column",),
    "adding-serial-primary-key-field": (),
    "ban-alter-domain-with-add-constraint": (),
    "ban-concurrent-index-creation-in-transaction": ("concurrently",),
    "ban-create-domain-with-constraint": (),
    "ban-drop-column": ("drop-column",),
    "ban-drop-database": (),
    "ban-drop-not-null": (),  # the release before meets NULL where it expects none
    "ban-drop-table": ("drop-table",),
    "ban-truncate-cascade": ("data",),
    "ban-uncommitted-transaction": (),
    "changing-column-type": ("change-type",),
    "constraint-missing-not-valid": ("check", "foreign-key"),
    "disallowed-unique-constraint": ("unique",),
    "identifier-too-long": (),
    "renaming-column": ("rename",),
    "renaming-table": ("rename",),
    "require-concurrent-index-creation": ("index",),
    "require-concurrent-index-deletion": ("drop-index",),
    "require-concurrent-partition-detach": (),
    "require-concurrent-reindex": (),
    "transaction-nesting": (),
}
TYPES = "types are chosen by the models, for every database that the application runs on"
LIMITS = "the migrator sets both for its session: app/database/migration_lock.py"
UNUSED = {
    "ban-char-field": TYPES,
    "prefer-bigint-over-int": TYPES,
    "prefer-bigint-over-smallint": TYPES,
    "prefer-identity": TYPES,
    "prefer-text-field": TYPES,
    "prefer-timestamp-tz": TYPES,
    "prefer-robust-stmts": "a revision is one transaction; IF NOT EXISTS would keep an index whose build failed",
    "require-enum-value-ordering": "an order of values is the model's",
    "require-lock-timeout": LIMITS,
    "require-statement-timeout": LIMITS,
    "require-timeout-settings": LIMITS,
}


def check(tree: Tree, since: str = "") -> list[str]:
    """Answer what is wrong with the migrations after the first, or after another, each with its revision."""
    revisions = tree.revisions()
    revisions = [entry for entry in revisions if entry.revision >= since]
    problems: list[str] = []
    for before, entry in itertools.pairwise(revisions):
        reviewed = exceptions(tree.root / VERSIONS, entry.revision)
        try:
            sql = tree.script("print_sql.py", f"{before.revision}:{entry.revision}")
        except Failed as error:
            if UNPRINTABLE not in reviewed:
                problems.append(
                    f"{entry.revision}: {UNPRINTABLE}: it asks the database, so there is no SQL to read: {error}"
                )
            continue
        found = judge(sql)
        problems += [f"{entry.revision}: {text}" for text in wrong(found, entry.kind, reviewed)]
    return problems


def refused(tree: Tree) -> list[str]:
    """Answer what either of the two linters refuses of a tree's newest migration."""
    try:
        read(tree.root, str(VERSIONS))
    except MigrationError as error:
        return [problem.partition(": ")[2] for problem in error.problems]
    problems = check(tree, since=tree.revisions()[-2].revision)
    return [problem.partition(": ")[2] for problem in problems]


def judge(sql: str) -> list[dict[str, Any]]:
    """Answer what squawk finds."""
    program = Path(sys.executable).parent / "squawk"
    words = [
        "--reporter",
        "json",
        "--pg-version",
        POSTGRESQL,
        "--exclude",
        ",".join(UNUSED),
        "--include",
        ",".join(USED),
    ]
    done = subprocess.run([program, *words], input=sql, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout.startswith("["):
        raise Failed(f"squawk: {done.stderr.strip() or done.stdout.strip()}")
    return list(json.loads(done.stdout))


def wrong(found: Iterable[dict[str, Any]], kind: str, reviewed: dict[str, str]) -> list[str]:
    """Say what squawk refuses that neither the kind nor an exception allows, and which exceptions are not needed."""
    problems, names = [], set()
    for each in found:
        rule = each["rule_name"]
        names.add(rule)
        ours = USED.get(rule, ())
        elsewhere = bool(ours) and all(kind not in RULES[name].kinds or name in reviewed for name in ours)
        if not elsewhere and f"{PREFIX}{rule}" not in reviewed:
            problems.append(f"{PREFIX}{rule}: {each['message']} {each['help'] or ''}".strip())
    for name in reviewed:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in names:
            problems.append(f"reviewed: {name!r} is not needed: remove it")
    return problems


def exceptions(versions: Path, revision: str) -> dict[str, str]:
    """Read a revision's own list of exceptions."""
    for path in versions.glob("[!_]*.py"):
        values: dict[str, Any] = {}
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match node:
                case ast.Assign(targets=[ast.Name(id="revision" | "reviewed" as name)], value=value):
                    values[name] = ast.literal_eval(value)
        if values.get("revision") == revision:
            return dict(values.get("reviewed") or {})
    return {}
