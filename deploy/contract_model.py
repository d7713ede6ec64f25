"""What may stand in a contract: `[project]` and `[tool.slipway]` of pyproject.toml, or all of slipway.toml."""

import json
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from deploy.contract_types import (
    Arguments,
    Count,
    Driver,
    Glibc,
    Method,
    Name,
    Network,
    ObjectName,
    PackageName,
    PythonMinor,
    RelativePath,
    Requirements,
    RequirementText,
    Seconds,
    SecretName,
    Served,
    StatePath,
    Status,
    Text,
    UrlFolder,
    UrlPath,
    VariableName,
    VersionText,
)
from deploy.toml_model import TomlModel

LOCK = "slipway.lock"
PASSWORDS = ".pgpass"  # below the state directory: where libpq finds the password (PGPASSFILE)


class Server(TomlModel):
    """How gunicorn runs the app."""

    workers: Count = 2
    threads: Count = 8
    timeout: Seconds = 60
    graceful_timeout: Seconds = 30
    keepalive: Seconds = 75
    worker_class: Literal["gthread", "sync"] = Field(default="gthread", alias="class")
    preload: bool = True

    @property
    def slots(self) -> int:
        """How many requests one host answers at a time; what comes on top waits."""
        return self.workers * (self.threads if self.worker_class == "gthread" else 1)

    def numbers(self) -> dict[str, int]:
        """Answer what gunicorn counts: processes, threads and seconds."""
        return {name: value for name, value in self.model_dump().items() if type(value) is int}


class Health(TomlModel):
    """Where the app says that it lives and that it can serve."""

    live: UrlPath = "/livez"
    ready: UrlPath = "/readyz"
    host: Text = "localhost"
    deadline: Seconds = 30
    patience: Seconds | None = None


class Commands(TomlModel):
    """Arguments of `<release>/bin/python`."""

    check: Arguments | None = None
    migrate: Arguments | None = None
    migrate_check: Arguments | None = None
    rehearse: Arguments | None = None
    replay: Arguments | None = None
    init: Arguments | None = None
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

    elsewhere: ClassVar[dict[str, str]] = dict.fromkeys(("beat", "cron"), "expected processes.scheduler")
    worker: Process | None = None
    scheduler: Process | None = None  # exactly one in an environment

    def defined(self) -> dict[str, Process]:
        """Answer the processes that the app has."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


class Migrations(TomlModel):
    """Where the migrations are."""

    path: RelativePath


class Probe(TomlModel):
    """A request that the prober sends through the load balancer."""

    path: UrlPath
    method: Method = "GET"
    body: Any = Field(default=None, alias="json")

    def as_request(self) -> dict[str, Any]:
        """Answer it as `deploy.prober.Request` takes it."""
        return {"path": self.path, "method": self.method, "body": None if self.body is None else json.dumps(self.body)}


class Smoke(TomlModel):
    """A page that each host must answer as it should before it gets traffic."""

    path: UrlPath
    status: Status = 200
    text: Text | None = None


class SystemPackages(TomlModel):
    """Packages of the operating system, as each family of Linux names them; one list is for both."""

    debian: tuple[PackageName, ...] = ()
    redhat: tuple[PackageName, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _for_both(cls, value: Any) -> Any:
        both = {"debian": value, "redhat": value} if isinstance(value, list) else value
        if not isinstance(both, dict):
            return both
        # No longer JSON, where a list may become a tuple: strict from here on.
        return {name: tuple(of) if isinstance(of, list) else of for name, of in both.items()}


class Proxy(TomlModel):
    """What the application may know by the load balancer, and what that may do for it."""

    scheme: bool | None = None
    trusted: tuple[Network, ...] = ()
    buffer: bool = False
    timeout: Seconds | None = None


class Database(TomlModel):
    """A database of its own on PostgreSQL, empty at first, and the variable that gets its address."""

    variable: VariableName = "DATABASE_URL"
    driver: Driver = "postgresql"
    role: Literal["owner", "app"] = "owner"
    sqlite: bool = False


class Slipway(TomlModel):
    """`[tool.slipway]` as it is written."""

    elsewhere: ClassVar[dict[str, str]] = {
        **{
            name: f"expected commands.{name}" for name in ("check", "init", "migrate", "migrate_check", "seed", "shell")
        },
    }
    app: Served
    python: PythonMinor
    glibc: Glibc | None = None
    lock: RelativePath
    system_packages: SystemPackages = SystemPackages()
    sources: tuple[RelativePath, ...] = ()
    extras: tuple[Text, ...] = ()
    exclude: tuple[RelativePath, ...] = ()
    from_source: tuple[Text, ...] = ()
    server: Server = Server()
    health: Health = Health()
    commands: Commands = Commands()
    processes: Processes = Processes()
    migrations: Migrations | None = None
    probe: tuple[Probe, ...] = ()
    smoke: tuple[Smoke, ...] = ()
    env: dict[VariableName, str] = Field(default={})
    secrets: tuple[SecretName, ...] = ()
    secrets_in_environment: bool = False
    database: Database | None = None
    config_files: dict[StatePath, Text] = Field(default={})
    state_dirs: tuple[StatePath, ...] = ()
    links: dict[RelativePath, StatePath] = Field(default={})
    scale: Literal["many", "one"] = "many"
    sticky: Literal["no", "cookie", "source"] = "no"
    static: dict[UrlFolder, Seconds] = Field(default={})
    proxy: Proxy = Proxy()
    self_migrating: bool = False
    rollback: Literal["code", "needs-db-restore"] = "code"

    def for_manifest(self) -> dict[str, Any]:
        """Answer what servers need to know of it beside what every app has; what is not said is left out."""
        found: dict[str, Any] = {
            "system_packages": {name: list(of) for name, of in self.system_packages if of},
            "smoke": [each.model_dump() for each in self.smoke],
            "secrets_in_environment": self.secrets_in_environment,
            "config_files": {path: secret_of_file(path) for path in (*self.config_files, *self._passwords())},
            "state_dirs": list(self.state_dirs),
            "links": dict(self.links),
            "scale": self.scale if self.scale != "many" else None,
            "self_migrating": self.self_migrating,
            "rollback": self.rollback if self.rollback != "code" else None,
            "worker_class": self.server.worker_class if self.server.worker_class != "gthread" else None,
            "no_preload": not self.server.preload,
            "proxy_scheme": self.proxy.scheme,
        }
        return {name: value for name, value in found.items() if value}

    def _passwords(self) -> tuple[str, ...]:
        return (PASSWORDS,) if self.database else ()

    def traffic(self) -> dict[str, Any]:
        """Answer what the load balancer needs to know of it; what is not said is left out."""
        found: dict[str, Any] = {
            "sticky": self.sticky if self.sticky != "no" else None,
            "static": dict(self.static),
            "trusted": list(self.proxy.trusted),
            "buffer": self.proxy.buffer,
        }
        return {name: value for name, value in found.items() if value}


class Adoption(TomlModel):
    """What slipway.toml says in the place of `[project]`, for an application that knows nothing of Slipway."""

    name: Name
    source: Text = "."
    version: VersionText | None = None
    description: str = ""
    url: str = ""
    layout: Literal["wheel", "tree"] = "wheel"
    requirements: tuple[Requirements, ...] = ()
    extras: tuple[Text, ...] = ()
    build_before: tuple[Arguments, ...] = ()
    build_env: dict[VariableName, str] = Field(default={})


class SlipwayFile(Slipway, Adoption):
    """slipway.toml as it is written."""

    lock: RelativePath = LOCK


class Pointer(TomlModel):
    """A slipway.toml that only says where the application with its own contract is."""

    source: Text


def secret_of_file(path: str) -> str:
    """Name the secret that carries a configuration file: it may have secrets in it, so all of it is one."""
    return "".join(char if char.isalnum() else "_" for char in path).upper().lstrip("0123456789_") or "CONFIG"


class Project(TomlModel):
    """What Slipway needs of `[project]`."""

    name: Name
    description: str = ""
    readme: str | dict[str, Any] | None = None
    license: str | dict[str, Any] | None = None
    license_files: tuple[str, ...] = Field(default=(), alias="license-files")
    urls: dict[str, str] = Field(default={})
    dependencies: tuple[RequirementText, ...] = ()
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
