"""The migrations that this release carries, read as text: a server needs to know them, not to load Alembic."""

import ast
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app.migrations

logger = logging.getLogger(__name__)

VERSIONS = Path(app.migrations.__file__).parent / "versions"


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration. Kind ``expand`` keeps the previous release working; ``contract`` does not."""

    revision: str
    down_revision: str | None
    kind: str
    summary: str


def read_revisions(versions: Path = VERSIONS) -> list[Revision]:
    """Return the revisions in a folder, oldest first. Raises ValueError unless they form one line."""
    left = [read_revision(path) for path in sorted(versions.glob("[!_]*.py"))]
    ordered: list[Revision] = []
    while following := [entry for entry in left if entry.down_revision == (ordered[-1].revision if ordered else None)]:
        if len(following) > 1:
            raise ValueError(f"migrations that follow the same one: {[entry.revision for entry in following]}")
        ordered += following
        left.remove(following[0])
    if left:
        raise ValueError(f"migrations that follow no other: {[entry.revision for entry in left]}")
    return ordered


def read_revision(path: Path) -> Revision:
    """Return what a revision file declares in literals at module level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    declared: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                declared[name] = value
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Revision(declared["revision"], declared["down_revision"], declared["kind"], summary)
