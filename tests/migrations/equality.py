"""Wherever a database comes from, it arrives at the models' schema: from nothing, by single steps, from a release."""

from __future__ import annotations

from collections.abc import Iterable

from tests.migrations.databases import Databases
from tests.migrations.trees import Failed, Tree


def check(new: Tree, released: Iterable[Tree], databases: Databases) -> list[str]:
    """Answer where the schema is another than the models say, on one kind of database."""
    problems = []
    steps = [entry.revision for entry in new.revisions()]
    origins: list[tuple[str, Tree, list[str]]] = [
        ("nothing", new, []),
        ("nothing, step by step", new, steps),
        *((tree.name, tree, ["head"]) for tree in released),
    ]
    for origin, first, stops in origins:
        with databases.empty() as urls:
            try:
                for stop in stops:
                    first.app(urls.owner, "db", "upgrade", stop)
                new.app(urls.owner, "db", "upgrade")
                new.script("compare.py", urls.owner)
            except Failed as error:
                problems.append(f"{databases.kind}, from {origin}: {error}")
    return problems
