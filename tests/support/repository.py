"""The repository as data: its files, its Python, its tasks and its make targets."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CI_FILES = (".github/workflows/ci.yml", ".gitlab-ci.yml")


@cache
def files() -> tuple[Path, ...]:
    """List what git tracks or would track; without git (a source archive), everything but hidden folders."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        found = {ROOT / name for name in listed if name}
    else:
        litter = {"var", "dist", "build", "__pycache__"}
        found = {p for p in ROOT.rglob("*") if not any(part in litter for part in p.relative_to(ROOT).parts)}
        found = {p for p in found if not p.relative_to(ROOT).parts[0].startswith((".venv", ".git/"))}
    return tuple(sorted(path for path in found if path.is_file() and not path.is_symlink()))


def named(path: Path) -> str:
    """Name a file as a person finds it."""
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> list[Path]:
    """List the Python files of some top-level folders, or of the whole repository."""
    return [p for p in files() if p.suffix == ".py" and (not folders or named(p).startswith(folders))]


def imports(path: Path) -> set[str]:
    """Name every module that a file imports, wherever in it; relative imports are made absolute."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@cache
def make_targets() -> dict[str, str]:
    """Map every target of the Makefile to what `make help` says of it ("" for those it leaves out)."""
    pattern = re.compile(r"^([a-z][a-z-]*):(?!=)[^#]*(?:## (.*))?", re.MULTILINE)
    return {name: about or "" for name, about in pattern.findall((ROOT / "Makefile").read_text())}


def fleet_tasks() -> dict[str, str]:
    """Map every task for machines, as it is typed, to its docstring."""
    from deploy.tasks import fleet

    return {f"fleet.{function.__name__}": function.__doc__ or "" for function in fleet.TASKS}


def fab_tasks() -> dict[str, str]:
    """Map every task that `fab` has to its docstring."""
    from deploy.tasks import TASKS

    return {function.__name__: function.__doc__ or "" for function in TASKS}


def ci_commands(name: str) -> list[str]:
    """Every shell line of a CI file."""
    document = yaml.safe_load((ROOT / name).read_text())

    def lines(node: object, inside: bool) -> list[str]:
        if isinstance(node, dict):
            keys = ("run", "script", "before_script", "after_script")
            return [line for key, value in node.items() for line in lines(value, inside or key in keys)]
        if isinstance(node, list):
            return [line for value in node for line in lines(value, inside)]
        return node.splitlines() if inside and isinstance(node, str) else []

    return lines(document, inside=False)
