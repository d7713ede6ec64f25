"""Prove the migrations of this checkout, before a server is touched: `make check-migrations`.

Their SQL, the schema that they arrive at, and that the previous release works on it: docs/reference/migrations.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.migrations import equality, previous, squawk
from tests.migrations.databases import Databases, every
from tests.migrations.trees import ROOT, VERSIONS, Failed, Tree, exported, git, released

PROVEN = ("sqlite", "postgresql")  # on which the previous release's suite is asked; see decision 25


def say(title: str, problems: list[str], started: float) -> list[str]:
    """Print how a check ended; answer its problems."""
    print(f"{'FAIL' if problems else 'ok  '} {title} ({time.monotonic() - started:.1f} s)", flush=True)
    for problem in problems:
        print(f"     {problem}", flush=True)
    return problems


def distinct(repository: Path, tags: list[str]) -> list[str]:
    """Answer the oldest of the tags that have the same migrations."""
    found: dict[str, str] = {}
    for tag in tags:
        found.setdefault(git(repository, "rev-parse", f"{tag}:{VERSIONS}"), tag)
    return list(found.values())


def run(repository: Path, ref: str, folder: Path) -> list[str]:
    """Run all checks; answer all problems."""
    new = Tree(repository, "this checkout")
    tags = released(repository)
    ref = ref or (tags[-1] if tags else "")
    trees = [exported(repository, tag, folder / "releases" / tag) for tag in distinct(repository, tags)]
    started = time.monotonic()
    problems = say(
        f"SQL of {len(new.revisions()) - 1} migrations after the first, by squawk", squawk.check(new), started
    )
    with every(folder) as kinds:
        for databases in kinds:
            started = time.monotonic()
            title = f"{databases.kind}: the models' schema, from nothing and from {len(trees)} released ones"
            problems += say(title, equality.check(new, trees, databases), started)
        if not ref:
            print("--   nothing is released yet, so no previous release can break; name one: PREVIOUS=REF")
            return problems
        tree = exported(repository, ref, folder / "previous", own_tools=True)
        for databases in kinds:
            if databases.kind in PROVEN:
                problems += proven(tree, new, databases)
    return problems


def proven(tree: Tree, new: Tree, databases: Databases) -> list[str]:
    """Run the previous release's suite on the new schema, if there is a new one."""
    started = time.monotonic()
    steps = previous.coming(tree.revisions(), new.revisions())
    if not steps:
        return say(f"{databases.kind}: no migration runs beside {tree.name}", [], started)
    title = f"{databases.kind}: the suite of {tree.name} after {', '.join(steps)}"
    with previous.prepared(tree, databases) as rows:
        problems = say(title, previous.check(tree, new, databases, rows), started)
        if problems:
            return problems
        started = time.monotonic()
        back = previous.and_back(tree, new, databases, rows)
        return say(f"{databases.kind}: the same when they are undone", back, started)


def main() -> int:
    """Exit 1 when something is wrong, 2 when it can't be found out."""
    with tempfile.TemporaryDirectory(prefix="check-migrations-") as name:
        try:
            return 1 if run(ROOT, os.environ.get("PREVIOUS", ""), Path(name)) else 0
        except Failed as error:
            print(f"check-migrations: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
