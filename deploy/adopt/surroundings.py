"""What an application's repository says of the world around it: packages of the system, load balancer, database, jobs.

Each is proposed where a file says so, and marked as guessed; what can't be had by a line alone is said to be missing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from deploy.adopt import inspect
from deploy.adopt.inspect import Findings, Repository

_APT = re.compile(r"apt(?:-get)?\s+(?:-\S+\s+)*install\s+(?P<names>[^&|;\n]+)")
_BUILDS = re.compile(r".*-dev|build-essential|gcc|g\+\+|make|cmake|git|curl|wget|pkg-config|python3?([.-].*)?|pip")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_LIBRARIES = {  # distributions that need a library of the system, as Debian names it; wheels bring the others
    r"psycopg2(?!-binary)|psycopg(?!2|\[binary)": "libpq5",
    r"mysqlclient": "libmariadb3",
    r"python-magic": "libmagic1",
    r"weasyprint": "libpango-1.0-0",
    r"pyzbar": "libzbar0",
}
_TIMEOUT = re.compile(r"gunicorn\b[^\n]*?(?:--timeout[= ]|-t )(?P<seconds>\d+)")
_PROCFILE = re.compile(r"^(?P<name>[\w-]+):\s*(?P<command>.+)$", re.MULTILINE)
_ADDRESS = re.compile(r"(DATABASE|DB|POSTGRES(QL)?|SQLALCHEMY_DATABASE)_(URL|URI|DSN)")
_DRIVERS = ("psycopg2", "psycopg", "asyncpg", "pg8000")
_SERVED_BY = ("Procfile", "Dockerfile", "docker-compose.yml", "compose.yaml", "entrypoint.sh", "run.sh")


def all_of(root: Path) -> Findings:
    """Say what the repository at `root` is, and what is around it."""
    repository = inspect.open_repository(root)
    findings = inspect.of(repository)
    look(repository, findings)
    return findings


def look(repository: Repository, findings: Findings) -> None:
    """Add what is found."""
    _packages(repository, findings)
    _balancer(repository, findings)
    _database(repository, findings)
    _django(repository, findings)
    _jobs(repository, findings)


def _packages(repository: Repository, findings: Findings) -> None:
    wanted = dict(_of_dockerfile(repository))
    for pattern, package in _LIBRARIES.items():
        if found := re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", repository.words):
            wanted.setdefault(package, f"{found[0]} needs it")
    if wanted:
        why = "; ".join(f"{name}: {where}" for name, where in wanted.items())
        findings.add("system_packages", {"debian": sorted(wanted)}, why, guessed=True)


def _of_dockerfile(repository: Repository) -> Iterator[tuple[str, str]]:
    """Name what a Dockerfile installs, but for what only builds."""
    for path in (path for path in repository.paths if path.rpartition("/")[2] == "Dockerfile"):
        text = re.sub(r"\\\n", " ", repository.text(path))
        for found in _APT.finditer(text):
            for word in found["names"].split():
                if _PACKAGE.fullmatch(word) and not _BUILDS.fullmatch(word):
                    yield word, path


def _balancer(repository: Repository, findings: Findings) -> None:
    imports = repository.facts.imports
    static = next((path for path in repository.paths if re.fullmatch(r"(?:(?:src/)?\w+/)?static/.+", path)), "")
    if static and "flask" in imports:
        why = f"{static.partition('static/')[0]}static/ is served by Flask; an hour is safe when names don't change"
        findings.add("static", {"/static/": 3600}, why, guessed=True)
    if found := next((imports[name] for name in ("flask_socketio", "socketio", "engineio") if name in imports), None):
        findings.add("sticky", "cookie", f"{found.what}, {found.where}: a session lives in one process", guessed=True)
    for path in (path for path in _SERVED_BY if repository.has(path)):
        if (found_timeout := _TIMEOUT.search(repository.text(path))) and int(found_timeout["seconds"]) > 60:
            seconds = int(found_timeout["seconds"])
            findings.add("proxy.timeout", seconds, f"{path} gives gunicorn as long", guessed=True)
            if findings.value("server.timeout") is None:
                findings.add("server.timeout", seconds, path, guessed=True)
            return


def _database(repository: Repository, findings: Findings) -> None:
    """Propose `database` where it can speak to PostgreSQL and reads the address from a variable."""
    driver = next((name for name in _DRIVERS if re.search(rf"(?<![\w-]){name}(?![\d])", repository.words)), "")
    if not driver:
        return
    reads = [found for name, found in sorted(repository.facts.variables.items()) if _ADDRESS.fullmatch(name)]
    speaks = f"postgresql+{driver}" if "sqlalchemy" in repository.words else "postgresql"
    if not reads:
        findings.optional.append(
            f'database: it can use PostgreSQL ({driver}); database = {{ driver = "{speaks}" }} gives the address to '
            "DATABASE_URL, which config_files can name"
        )
        return
    value: dict[str, object] = {"variable": reads[0].what, "driver": speaks}
    if repository.facts.sqlite and repository.facts.sqlite.what.startswith("sqlite:"):
        value["sqlite"] = True
    findings.add("database", value, f"{driver}; the address is read at {reads[0].where}", guessed=True)
    # It is given, so nobody has to write it; and a link to SQLite's file is not needed.
    lines = [line for line in findings.lines if line.key != f"env.{reads[0].what}"]
    findings.lines[:] = lines
    named = (f"env.{reads[0].what}:", "the database:")
    findings.missing[:] = [text for text in findings.missing if not text.startswith(named)]
    findings.optional[:] = [text for text in findings.optional if not text.startswith(named)]


def _django(repository: Repository, findings: Findings) -> None:
    """Name the commands that every Django project has, by the script at its root."""
    if repository.has("manage.py") and "django" in repository.facts.imports and not repository.packaged:
        script, why = "{release}/app/manage.py", "manage.py of Django"
        if findings.value("commands.migrate") is None:
            findings.add("commands.migrate", [script, "migrate", "--noinput"], why, guessed=True)
        findings.add("commands.migrate_check", [script, "migrate", "--check"], why, guessed=True)


def _jobs(repository: Repository, findings: Findings) -> None:
    """Say what a Procfile runs beside the web server: by itself nothing says READY=1."""
    if not repository.has("Procfile"):
        return
    for found in _PROCFILE.finditer(repository.text("Procfile")):
        name, command = found["name"], found["command"].strip()
        if name == "release" and findings.value("commands.migrate") is None:
            findings.add("commands.migrate", _of_python(command), "Procfile: release", guessed=True)
        elif name not in ("web", "release"):
            kind = "scheduler" if re.search(r"beat|sched|clock|cron", f"{name} {command}") else "worker"
            words = ", ".join(f'"{word}"' for word in _of_python(command))
            findings.missing.append(
                f"processes.{kind}: Procfile runs `{command}`; command = [{words}], once it says READY=1 "
                "(docs/reference/contract.md#processes)"
            )


def _of_python(command: str) -> list[str]:
    """Write a command as arguments of Python: programs of distributions are modules, too, most of the time."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    if words and re.fullmatch(r"python3?(\.\d+)?", words[0]):
        script = words[1:2] and words[1].endswith(".py")
        return [f"{{release}}/app/{words[1]}", *words[2:]] if script else words[1:]
    return ["-m", *words]
