"""The contract: all that Slipway knows about the app, read from `[project]` and `[tool.slipway]` of pyproject.toml."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, Field

from deploy import toml_model
from deploy.errors import SlipwayError
from deploy.toml_model import TomlModel
from deploy.toml_position import Document, load, loads

FILE = "pyproject.toml"

# The name becomes a unix user, systemd units, directories, an rpm, a database and an HAProxy backend.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class ContractError(SlipwayError):
    """The contract has mistakes."""


def _name(value: str) -> str:
    if len(value) > 31 or not _NAME.fullmatch(value):
        raise ValueError(
            "expected at most 31 lower-case letters, digits and single hyphens, starting with a letter "
            "(it also names the unix user, the units and the database)"
        )
    return value


def _object(value: str) -> str:
    if not _OBJECT.fullmatch(value):
        raise ValueError('expected "module:object", as in "app.wsgi:application"')
    return value


def _python(value: str) -> str:
    if not re.fullmatch(r"3\.\d+", value):
        raise ValueError('expected a minor version of Python, as in "3.11"')
    return value


def _glibc(value: str) -> str:
    if not re.fullmatch(r"2\.\d+", value):
        raise ValueError('expected a version of the GNU C library, as in "2.36" (ldd --version says it)')
    return value


def _relative(value: str) -> str:
    if not value or PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
        raise ValueError(f"expected a path inside the repository, relative to {FILE}")
    return value


def _url_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a path that starts with /")
    return value


def _requirement(value: str) -> str:
    try:
        Requirement(value)
    except InvalidRequirement:
        raise ValueError('expected a requirement, as in "flask>=3.1,<4"') from None
    return value


def _method(value: str) -> str:
    if not value.isalpha() or value != value.upper():
        raise ValueError('expected an HTTP method in capitals, as in "POST"')
    return value


Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
ObjectName = Annotated[str, AfterValidator(_object)]
RelativePath = Annotated[str, AfterValidator(_relative)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
Arguments = Annotated[tuple[Text, ...], Field(min_length=1)]


class Server(TomlModel):
    """How gunicorn runs the app."""

    workers: Count = 2
    threads: Count = 8
    timeout: Seconds = 60
    graceful_timeout: Seconds = 30
    keepalive: Seconds = 75


class Health(TomlModel):
    """Where the app says that it lives and that it can serve."""

    live: UrlPath = "/livez"
    ready: UrlPath = "/readyz"
    host: Text = "localhost"
    deadline: Seconds = 30


class Commands(TomlModel):
    """Arguments of `<release>/bin/python`."""

    check: Arguments | None = None
    migrate: Arguments | None = None
    seed: Arguments | None = None
    shell: Arguments | None = None

    def defined(self) -> dict[str, tuple[str, ...]]:
        """Answer the commands that the app has."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


class Process(TomlModel):
    """A process beside the web server: it says READY=1 (sd_notify(3)), and at SIGTERM finishes what it has in hand."""

    command: Arguments
    stop_seconds: Seconds = 60


class Processes(TomlModel):
    """Processes by name; each runs on hosts with the role of that name."""

    worker: Process | None = None

    def defined(self) -> dict[str, Process]:
        """Answer the processes that the app has."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


class Migrations(TomlModel):
    """Where the migrations are."""

    path: RelativePath


class Probe(TomlModel):
    """A request that the prober sends through the load balancer."""

    path: UrlPath
    method: Annotated[str, AfterValidator(_method)] = "GET"
    body: Any = Field(default=None, alias="json")

    def as_request(self) -> dict[str, Any]:
        """Answer it as `deploy.prober.Request` takes it."""
        return {"path": self.path, "method": self.method, "body": None if self.body is None else json.dumps(self.body)}


class Slipway(TomlModel):
    """`[tool.slipway]` as it is written."""

    app: ObjectName
    python: Annotated[str, AfterValidator(_python)]
    glibc: Annotated[str, AfterValidator(_glibc)] | None = None
    lock: RelativePath
    sources: tuple[RelativePath, ...] = ()
    exclude: tuple[RelativePath, ...] = ()
    server: Server = Server()
    health: Health = Health()
    commands: Commands = Commands()
    processes: Processes = Processes()
    migrations: Migrations | None = None
    probe: tuple[Probe, ...] = ()


class Project(TomlModel):
    """What Slipway needs of `[project]`."""

    name: Annotated[str, AfterValidator(_name)]
    description: str = ""
    readme: str | dict[str, Any] | None = None
    license: str | dict[str, Any] | None = None
    license_files: tuple[str, ...] = Field(default=(), alias="license-files")
    urls: dict[str, str] = Field(default={})
    dependencies: tuple[Annotated[str, AfterValidator(_requirement)], ...] = ()
    scripts: dict[str, ObjectName] = Field(default={})
    gui_scripts: dict[str, ObjectName] = Field(default={}, alias="gui-scripts")

    # Known to the standard, and of no use here: setuptools checks them.
    version: Any = None
    authors: Any = None
    maintainers: Any = None
    keywords: Any = None
    classifiers: Any = None
    dynamic: Any = None
    entry_points: Any = Field(default=None, alias="entry-points")
    optional_dependencies: Any = Field(default=None, alias="optional-dependencies")
    requires_python: Any = Field(default=None, alias="requires-python")
    license_expression: Any = Field(default=None, alias="license-expression")
    import_names: Any = Field(default=None, alias="import-names")
    import_namespaces: Any = Field(default=None, alias="import-namespaces")


class Contract(TomlModel):
    """`[project]` and `[tool.slipway]` together: frozen, checked, typed."""

    project: Project
    slipway: Slipway

    @property
    def name(self) -> str:
        """Name the app, and everything that is named after it."""
        return self.project.name

    @property
    def app(self) -> str:
        """Name what gunicorn serves, as `module:object`."""
        return self.slipway.app

    @property
    def python(self) -> str:
        """Name the minor version of Python on the servers."""
        return self.slipway.python

    @property
    def interpreter(self) -> str:
        """Name the interpreter on the servers."""
        return f"/usr/bin/python{self.slipway.python}"

    @property
    def lock(self) -> str:
        """Name the lock file of what ships, relative to pyproject.toml."""
        return self.slipway.lock

    @property
    def server(self) -> Server:
        """Say how gunicorn runs the app."""
        return self.slipway.server

    @property
    def health(self) -> Health:
        """Say where the app answers for its health."""
        return self.slipway.health

    @property
    def commands(self) -> Commands:
        """Say what can be run with a release."""
        return self.slipway.commands

    @property
    def processes(self) -> dict[str, Process]:
        """Say what runs beside the web server, by name."""
        return self.slipway.processes.defined()

    @property
    def migrations(self) -> Migrations | None:
        """Say where the migrations are, or None."""
        return self.slipway.migrations

    @property
    def probe(self) -> tuple[Probe, ...]:
        """List what the prober sends."""
        return self.slipway.probe

    def for_manifest(self) -> dict[str, Any]:
        """Answer the part of the contract that goes into a release's manifest."""
        return {
            "app": self.app,
            "server": self.server.model_dump(),
            "health": self.health.model_dump(),
            "commands": {name: list(value) for name, value in self.commands.defined().items()},
            "processes": {name: process.model_dump(mode="json") for name, process in self.processes.items()},
        }


def read(source: Path) -> Contract:
    """Read the contract of the checkout (or of the pyproject.toml) at `source`."""
    path = source / FILE if source.is_dir() else source
    return from_document(load(path, shown_as=Path(path.name)))


def parse(text: str) -> Contract:
    """Read the contract from the text of a pyproject.toml."""
    return from_document(loads(text, Path(FILE)))


def from_document(document: Document) -> Contract:
    """Read the contract, and report all mistakes at once."""
    project, problems = toml_model.read(Project, document, "project")
    slipway, more = toml_model.read(Slipway, document, "tool", "slipway")
    problems += more
    if project is None or slipway is None or problems:
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise ContractError(
            f"{document.path} has {count}",
            problems=tuple(problems),
            hint=f"mend {problems[0].split(': ', 1)[0]}, then run the same command again",
        )
    return Contract(project=project, slipway=slipway)
