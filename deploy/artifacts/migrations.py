"""What a release knows of its database: its migrations, read from their source without running it."""

import ast
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts import migration_lint
from deploy.errors import SlipwayError

_KINDS = ("expand", "contract")


class MigrationError(SlipwayError):
    """The migrations are not one line of steps whose kinds are known."""


@dataclass(frozen=True)
class Migration:
    """One step: `expand` runs before a switch; `contract` waits until no older release can come back."""

    revision: str
    down_revision: str | None
    kind: str
    summary: str

    def for_manifest(self) -> dict[str, str | None]:
        """Answer the entry of the manifest."""
        return asdict(self)


def read(root: Path, folder: str) -> list[Migration]:
    """Read the migrations in the order in which they run; report every mistake at once."""
    if not (root / folder).is_dir():
        raise MigrationError(
            f"{folder}: expected the folder of migrations, which [tool.slipway.migrations] names, but there is none"
        )
    problems: list[str] = []
    found: dict[str, tuple[Migration, str]] = {}
    for path in sorted((root / folder).glob("*.py")):
        if path.name.startswith("_"):
            continue
        shown = path.relative_to(root).as_posix()
        migration, mistakes = _one(path, shown)
        problems += mistakes
        if migration is None:
            continue
        if migration.revision in found:
            problems.append(f"{shown}: revision {migration.revision!r} is also that of {found[migration.revision][1]}")
        found[migration.revision] = (migration, shown)
    if not problems:
        problems = _breaks(found)
    if problems:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise MigrationError(f"the migrations in {folder} have {count}", problems=tuple(problems))
    return _chain({revision: migration for revision, (migration, _) in found.items()})


def _one(path: Path, shown: str) -> tuple[Migration | None, list[str]]:
    """Read one file."""
    try:
        module = ast.parse(path.read_bytes(), filename=shown)
    except SyntaxError as error:
        return None, [f"{shown}:{error.lineno}: not Python: {error.msg}"]
    values, lines = _constants(module)
    problems = []
    revision, down, kind = values.get("revision"), values.get("down_revision"), values.get("kind")
    if not isinstance(revision, str) or not revision:
        problems.append(f'{shown}:{lines.get("revision", 1)}: expected revision = "...", a text')
    if "down_revision" not in values:
        problems.append(f"{shown}:1: expected down_revision: the revision before this one, or None for the first")
    elif down is not None and not isinstance(down, str):
        problems.append(
            f"{shown}:{lines['down_revision']}: expected one down_revision, got {down!r}: "
            "migrations run in one line, without merges"
        )
    if kind not in _KINDS:
        got = f"got {kind!r}" if "kind" in values else "but it is missing"
        problems.append(
            f'{shown}:{lines.get("kind", 1)}: expected kind = "expand" (the old release still works after it) '
            f'or kind = "contract" (it does not), {got}'
        )
    if problems:
        return None, problems
    unsafe = migration_lint.problems(module, str(kind), values.get("reviewed"), lines.get("reviewed", 1))
    if unsafe:
        return None, [f"{shown}:{line}: {text}" for line, text in unsafe]
    summary = (ast.get_docstring(module) or "").strip().partition("\n")[0]
    return Migration(str(revision), down, str(kind), summary), []


def _constants(module: ast.Module) -> tuple[dict[str, Any], dict[str, int]]:
    """Answer the module's plain assignments and their lines."""
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                lines[target.id] = node.lineno
                try:
                    values[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    values[target.id] = ...  # computed: not what we can read
    return values, lines


def _breaks(found: dict[str, tuple[Migration, str]]) -> list[str]:
    """Say where the migrations are not one line from a first to a last."""
    problems = [
        f"{shown}: down_revision {migration.down_revision!r} is no revision here"
        for migration, shown in found.values()
        if migration.down_revision is not None and migration.down_revision not in found
    ]
    parents: dict[str | None, list[str]] = {}
    for migration, shown in found.values():
        parents.setdefault(migration.down_revision, []).append(f"{migration.revision} ({shown})")
    for parent, children in parents.items():
        if len(children) > 1:
            where = "are all the first" if parent is None else f"all follow {parent}"
            problems.append(f"several heads: {', '.join(children)} {where}: expected one line; change a down_revision")
    if found and not problems and len(_chain({revision: each for revision, (each, _) in found.items()})) != len(found):
        problems.append("the down_revisions go in a circle: expected one migration with down_revision = None")
    return problems


def _chain(migrations: dict[str, Migration]) -> list[Migration]:
    """Put the migrations in order, beginning with the one that follows none."""
    after = {migration.down_revision: migration for migration in migrations.values()}
    ordered: list[Migration] = []
    step = after.get(None)
    while step is not None:
        ordered.append(step)
        step = after.get(step.revision)
    return ordered
