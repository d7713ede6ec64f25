"""Which files of a checkout go into what is built; only they make a checkout dirty, and only they are exported."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from deploy.contract import FILE, Contract

_BUILD_FILES = ("setup.py", "setup.cfg", "MANIFEST.in")
_LICENSES = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*")  # what setuptools takes by default
_IGNORED_FOLDERS = {
    "__pycache__",
    ".git",
    ".venv",
    ".tox",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}


@dataclass(frozen=True)
class Selection:
    """Files and folders by name, and files by pattern."""

    names: tuple[str, ...]
    patterns: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Say whether every file is selected."""
        return "*" in self.patterns

    def holds(self, path: str) -> bool:
        """Say whether a path, relative to pyproject.toml, is selected."""
        return any(path == name or path.startswith(f"{name}/") for name in self.names) or any(
            fnmatchcase(path, pattern) for pattern in self.patterns
        )

    def roots(self, paths: Iterable[str]) -> list[str]:
        """Answer the fewest names that stand for all selected paths."""
        held = (path for path in paths if self.holds(path))
        return sorted({next((n for n in self.names if path.startswith(f"{n}/")), path) for path in held})


def select(contract: Contract) -> Selection:
    """Answer what the wheel and the release are made of: of an app that knows nothing of Slipway, all it has."""
    if contract.adoption is not None and not contract.slipway.sources:
        return Selection((), ("*",))
    project = contract.project
    modules = [contract.app, *project.scripts.values(), *project.gui_scripts.values()]
    packages = {module.split(":")[0].split(".")[0] for module in modules}
    folders = [form.format(package) for package in packages for form in ("{}", "{}.py", "src/{}", "src/{}.py")]
    if contract.migrations:
        folders.append(contract.migrations.path)
    files = [FILE, contract.lock, *_BUILD_FILES, *_file(project.readme), *_file(project.license)]
    names = {*folders, *files, *contract.slipway.sources}
    return Selection(tuple(sorted(names)), (*_LICENSES, *project.license_files))


def is_litter(path: str) -> bool:
    """Say whether a path is a cache, where no git says what is ignored."""
    parts = path.split("/")
    return path.endswith(".pyc") or any(part in _IGNORED_FOLDERS or part.endswith(".egg-info") for part in parts)


def _file(value: str | dict[str, Any] | None) -> list[str]:
    """Answer the file that `readme` or `license` names, in any of its forms; a licence expression names none."""
    if isinstance(value, dict):
        return [str(value["file"])] if "file" in value else []
    return [value] if value else []
