"""Look at an application's repository: what to serve, what it needs and keeps. Nothing of it is run or imported."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.adopt import code
from deploy.adopt.code import Facts, Found
from deploy.artifacts.source.selection import is_litter

_NOT_SHIPPED = {"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts", "conf-templates"}
_MOST = 2000  # files that are read
_GUNICORN = re.compile(r"gunicorn\b[^\n]*?\s['\"]?(?P<app>[A-Za-z_][\w.]*:[A-Za-z_]\w*(?:\([^)\n]*\))?)")
_HEALTHY = ("readyz", "ready", "healthz", "health", "livez", "_status", "status", "ping", "heartbeat", "hello")
# Where the name that is imported is not that of the distribution.
_DISTRIBUTIONS = {
    "PIL": "Pillow", "yaml": "PyYAML", "dotenv": "python-dotenv", "psycopg2": "psycopg2-binary",
    "bs4": "beautifulsoup4", "flask_sqlalchemy": "Flask-SQLAlchemy", "dateutil": "python-dateutil", "jwt": "PyJWT",
    "MySQLdb": "mysqlclient",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A key of slipway.toml, and why it is as it is."""

    key: str
    value: Any
    why: str
    guessed: bool = False


@dataclass
class Findings:
    """What slipway.toml will say, and what a person has to see to."""

    lines: list[Line] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)  # variables that have a default in its source

    def add(self, key: str, value: Any, why: str, *, guessed: bool = False) -> None:
        """Note a key."""
        self.lines.append(Line(key, value, why, guessed))

    def value(self, key: str) -> Any:
        """Answer what was noted for a key, or None."""
        return next((line.value for line in self.lines if line.key == key), None)


@dataclass(frozen=True)
class Repository:
    """An application's files, by path."""

    root: Path
    paths: tuple[str, ...]
    pyproject: dict[str, Any]
    facts: Facts

    def text(self, path: str) -> str:
        """Read a file."""
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def has(self, *names: str) -> bool:
        """Say whether one of these files is at the root."""
        return any(name in self.paths for name in names)

    @property
    def packaged(self) -> bool:
        """Say whether a build backend makes a wheel of it."""
        return bool({"build-system", "project"} & set(self.pyproject)) or self.has("setup.py", "setup.cfg")

    @property
    def words(self) -> str:
        """Give what it says of its dependencies, in small letters."""
        files = [path for path in self.paths if re.fullmatch(r"(requirements[\w./-]*\.(txt|in)|setup\.(py|cfg))", path)]
        return "\n".join([str(self.pyproject), *map(self.text, files)]).lower()


def look(root: Path) -> Findings:
    """Say what the repository at `root` is."""
    return of(open_repository(root))


def of(repository: Repository) -> Findings:
    """Say what a repository is."""
    findings = Findings()
    _identity(repository, findings)
    _served(repository, findings)
    _requirements(repository, findings)
    _state(repository, findings)
    _variables(repository, findings)
    _database(repository, findings)
    _health(repository, findings)
    findings.missing += [f"{path} is no Python that we can read" for path in repository.facts.unread[:5]]
    return findings


def open_repository(root: Path) -> Repository:
    """Read the files that ship: tests and documentation don't."""
    paths, facts = [], Facts()
    for folder, folders, files in os.walk(root):
        start = Path(folder).relative_to(root).as_posix()
        start = "" if start == "." else f"{start}/"
        folders[:] = sorted(
            name for name in folders
            if not (name.startswith(".") or is_litter(start + name) or name in _NOT_SHIPPED)
        )  # fmt: skip
        paths += [start + name for name in sorted(files)]
    for path in [path for path in paths if path.endswith(".py") and path != "setup.py"][:_MOST]:
        code.read(path, (root / path).read_text(encoding="utf-8", errors="replace"), facts)
    file = root / "pyproject.toml"
    try:
        pyproject = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        pyproject = {}
    return Repository(root, tuple(paths), pyproject, facts)


def _identity(repository: Repository, findings: Findings) -> None:
    project = repository.pyproject.get("project", {})
    said = project.get("name") or repository.pyproject.get("tool", {}).get("poetry", {}).get("name")
    name = re.sub(r"[^a-z0-9]+", "-", str(said or repository.root.name).lower()).strip("-")[:31].strip("-")
    why = "pyproject.toml" if said else "the folder's name"
    findings.add("name", name if name[:1].isalpha() else f"app-{name}"[:31], why, guessed=not said)
    python = "3.11"
    wants = str(project.get("requires-python", ""))
    findings.add("python", python, f"the servers'; the application says {wants or 'nothing'}")
    if not repository.packaged:
        findings.add("layout", "tree", "there is no pyproject.toml with a build system, nor setup.py or setup.cfg")


def _served(repository: Repository, findings: Findings) -> None:
    """Choose what gunicorn serves: what they tell it already, else the likeliest object, else a factory."""
    facts = repository.facts
    for path in ("Procfile", "Dockerfile", "docker-compose.yml", "compose.yaml", "entrypoint.sh", "run.sh"):
        if repository.has(path) and (found := _GUNICORN.search(repository.text(path))):
            findings.add("app", found["app"], f"{path} serves it so")
            return
    ranked = [*sorted(facts.objects, key=_rank), *sorted(facts.factories, key=_rank)]
    if not ranked:
        findings.missing.append('app: nothing was found that gunicorn could serve; write app = "module:object"')
        findings.missing += [f"app: {found.what} ({found.where}) wants arguments" for found in facts.closed]
        return
    chosen, *others = ranked
    more = f"; others: {', '.join(found.what for found in others[:3])}" if others else ""
    findings.add("app", chosen.what, f"{chosen.where}{more}", guessed=bool(others))


def _rank(found: Found) -> tuple[int, int]:
    module = found.what.split(":")[0]
    return (0 if module.endswith("wsgi") else 1, module.count("."))


def _requirements(repository: Repository, findings: Findings) -> None:
    files = [path for path in repository.paths if re.fullmatch(r"requirements(/(base|prod\w*))?\.txt", path)]
    project = repository.pyproject.get("project", {})
    if files and not (project.get("dependencies") or repository.has("setup.py", "setup.cfg")):
        findings.add("requirements", files, "what it names its requirements in")
    elif not repository.packaged:
        own = {path.split("/")[0].removesuffix(".py") for path in repository.paths}
        found = code.foreign(repository.facts, own)
        names = [_DISTRIBUTIONS.get(each.what, each.what) for each in found]
        findings.add("requirements", names, "what it imports; nothing says of which version", guessed=True)
    extras = project.get("optional-dependencies", {})
    if databases := [name for name in extras if re.search(r"database|postgres|psycopg|pgsql", name)]:
        findings.add("extras", databases[:1], f"extras of pyproject.toml: {', '.join(extras)}", guessed=True)


def _state(repository: Repository, findings: Findings) -> None:
    """Say what lies in the release by itself and has to lie in the state, and whether servers can share it."""
    facts = repository.facts
    if facts.instance:
        package = str(findings.value("app") or "").split(":")[0].split(".")[0] or "app"
        place = f"var/{package}-instance" if repository.packaged else "app/instance"
        findings.add("links", {place: "instance"}, f"Flask's instance folder, {facts.instance.where}", guessed=True)
    if facts.sqlite and not re.search(r"psycopg|postgres|mysql", repository.words):
        findings.add("scale", "one", f"its data are a file of SQLite, {facts.sqlite.where}", guessed=True)
        if not facts.instance:
            findings.missing.append(
                f"links or env: {facts.sqlite.where} is SQLite: its file must lie below {{state}}, not in the release"
            )


def _variables(repository: Repository, findings: Findings) -> None:
    facts = repository.facts
    plain = {name: found for name, found in facts.variables.items() if not code.is_secret(name)}
    secrets = {name: found.where for name, found in facts.variables.items() if code.is_secret(name)}
    in_files: dict[str, str] = {}
    for name, found in sorted(plain.items()):
        if re.search(r"SETTINGS|CONFIG", name):
            in_files[name] = f"{findings.value('name')}.cfg"
            why = f"the path of its settings, {found.where}"
            findings.add(f"env.{name}", f"{{state}}/{in_files[name]}", why, guessed=True)
        elif name in facts.required:
            findings.add(f"env.{name}", "", f"read without a default, {found.where}")
            findings.missing.append(f"env.{name}: write its value ({found.where})")
        else:
            findings.optional.append(f"env.{name}: it reads this, and can do without ({found.where})")
    constant = next((found for found in facts.constants if found.what == "SECRET_KEY"), None)
    place = next(iter(in_files.values()), "")
    if constant and not secrets:
        secrets["SECRET_KEY"] = f"has a value in the source that anybody can read, {constant.where}"
        if facts.instance and facts.instance_config and not place:
            place = f"instance/{facts.instance_config.what}"
        if not place:
            findings.missing.append(f"config_files: {constant.where}: how does it get another SECRET_KEY?")
    if secrets:
        findings.add("secrets", sorted(secrets), "; ".join(f"{name} {where}" for name, where in secrets.items()))
    if any(name in facts.variables for name in secrets):
        findings.add("secrets_in_environment", True, "it reads them as variables")
    if place:
        text = "".join(f'{name} = "{{{name}}}"\n' for name in sorted(secrets))
        findings.add("config_files", {place: text or "# settings\n"}, "the file that it reads", guessed=True)
        findings.missing.append(f"config_files: see that {place} has all the settings that it needs")


def _database(repository: Repository, findings: Findings) -> None:
    facts, served = repository.facts, str(findings.value("app") or "")
    flask = ["-m", "flask", "--app", served.replace("()", "")]
    environments = [
        path for path in repository.paths if PurePosixPath(path).name == "env.py" and "alembic" in repository.text(path)
    ]
    if facts.migrates:
        findings.add("self_migrating", True, f"it migrates when it is loaded, {facts.migrates.where}", guessed=True)
        findings.add("server.preload", False, "it connects when loaded, and forked workers would share that")
        findings.add("rollback", "needs-db-restore", "older code may refuse a newer schema", guessed=True)
    elif environments:
        folder = str(PurePosixPath(environments[0]).parent)
        place = f"{{release}}/app/{folder}"
        if re.search(r"flask[-_]migrate", repository.words) and not repository.packaged:
            words = [*flask, "db", "upgrade", "--directory", place]
            findings.add("commands.migrate", words, environments[0], guessed=True)
        elif re.search(r"flask[-_]migrate", repository.words):
            findings.add("commands.migrate", [*flask, "db", "upgrade"], environments[0], guessed=True)
        else:
            findings.missing.append(f"commands.migrate: {folder} has migrations; how are they run?")
    if facts.commands and not environments:
        found = facts.commands[0]
        findings.add("commands.init", [*flask, found.what], f"{found.where}; it may delete what it finds", guessed=True)
    if facts.sqlite and facts.sqlite.what.startswith("sqlite:") and findings.value("scale") is None:
        findings.missing.append(f"the database: by itself it takes {facts.sqlite.what} ({facts.sqlite.where})")


def _health(repository: Repository, findings: Findings) -> None:
    routes = {found.what: found for found in repository.facts.routes if not re.search(r"[<{]", found.what)}
    known = [(word, path) for word in _HEALTHY for path in routes if path.strip("/").split("/")[-1] == word]
    live = known[0][1] if known else "/"
    ready = next((path for word, path in known if word in _HEALTHY[:4]), "/" if "/" in routes or not routes else live)
    if ready == "/" and "/" not in routes and routes and live == "/":
        ready = live = min(routes, key=len)
    where = "; ".join(sorted({routes[path].where for path in (live, ready) if path in routes}))
    findings.add("health", {"live": live, "ready": ready}, where or "no route was found", guessed=True)
    findings.add("probe", [{"path": ready}], "safe to repeat", guessed=True)
    findings.missing.append("smoke: name a page and a text in it, so that a green check means that it works")
