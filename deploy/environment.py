"""Environment files: `deploy/environments/<name>.toml`, checked in full, each mistake with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deploy import toml_model
from deploy.errors import SlipwayError
from deploy.toml_model import TomlModel, nearest
from deploy.toml_position import Document, load

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "deploy" / "environments"
# Variables that are not the application's to set, as patterns, and why. The agent refuses its own once more.
RESERVED = (
    ("HOME|RELEASE_VERSION|RELEASE_GENERATION", "the agent sets it"),
    ("PATH|PYTHON(HOME|PATH|STARTUP|EXECUTABLE)|LD_.*", "it would run other code than the release's"),
    (
        "GUNICORN_CMD_ARGS|LISTEN_.*|NOTIFY_SOCKET",
        "it would change how the release is served; see [tool.slipway.server]",
    ),
)
NAME = re.compile(r"[a-z][a-z0-9-]*")


class EnvironmentFileError(SlipwayError):
    """An environment file can't be used."""


def _address(value: Any) -> Any:
    if isinstance(value, str):
        host, _, port = value.rpartition(":")
        if host and port.isdigit() and 0 < int(port) < 65536:
            return value
    raise ValueError('expected "ADDRESS:PORT", such as "127.0.0.1:8100"')


def _batch(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and (m := re.fullmatch(r"(\d+)%", value)) and 1 <= int(m[1]) <= 100:
        return value
    raise ValueError('expected a number of hosts such as 2, or a share such as "25%"')


Address = Annotated[str, BeforeValidator(_address)]
Variable = Annotated[
    str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v)
]


def reserved(name: str) -> str:
    """Say why a variable can't have this name; empty when it can."""
    return next((reason for pattern, reason in RESERVED if re.fullmatch(pattern, name)), "")


class HostEntry(TomlModel):
    """`[hosts.NAME]`: a server and what it is for."""

    roles: frozenset[Literal["web", "worker", "db", "lb"]] = Field(min_length=1)
    listen: Address


class BalancerEntry(TomlModel):
    """`[balancer]`: where users come in."""

    listen: Address
    max_request: int = Field(60, ge=1, le=3600, description="seconds the longest request may take")


class RolloutEntry(TomlModel):
    """`[rollout]`: how carefully."""

    canary: int = Field(1, ge=0)
    batch: Annotated[int | str, BeforeValidator(_batch)] = 1
    floor: int = Field(1, ge=0)
    drain_timeout: float = Field(30, gt=0, le=3600, description="seconds")
    keep: int = Field(5, ge=2, le=100, description="generations kept for a rollback")
    lease: float = Field(30, ge=5, le=600, description="seconds a deployer may be silent before another may take over")


class ProberEntry(TomlModel):
    """`[prober]`: the requests that watch a rollout."""

    clients: int = Field(2, ge=0, le=256)
    rate: float = Field(20, gt=0, le=10000, description="requests a second, all clients together")


class EnvironmentFile(TomlModel):
    """One environment as written: hosts by role, rollout policy, plain variables, names of secrets."""

    transport: Literal["local"]
    directory: Annotated[Path, Field(strict=False)]
    signatures: Literal["required", "optional"] = "optional"
    hosts: dict[str, HostEntry] = Field(min_length=1)
    balancer: BalancerEntry
    rollout: RolloutEntry = RolloutEntry()
    prober: ProberEntry = ProberEntry()
    variables: dict[str, Variable] = Field(default={})
    secrets: tuple[str, ...] = ()

    @field_validator("hosts")
    @classmethod
    def _names(cls, hosts: dict[str, HostEntry]) -> dict[str, HostEntry]:
        for name in hosts:
            if not NAME.fullmatch(name):
                raise ValueError(f"host {name!r}: expected lower-case letters, digits and dashes")
        if not any("web" in host.roles for host in hosts.values()):
            raise ValueError('expected at least one host with roles = ["web"]')
        return hosts

    @field_validator("variables", mode="after")
    @classmethod
    def _variables(cls, variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
                raise ValueError(f"{name}: expected a variable's name in upper case, such as LOG_LEVEL")
            if reason := reserved(name):
                raise ValueError(f"{name}: expected another name: {reason}")
            if "\0" in value:
                raise ValueError(f"{name}: expected text without a NUL character")
        return variables

    @model_validator(mode="after")
    def _ports_differ(self) -> EnvironmentFile:
        seen: dict[str, str] = {}
        for who, listen in [("balancer", self.balancer.listen), *((n, h.listen) for n, h in self.hosts.items())]:
            if listen in seen:
                raise ValueError(f"{who} and {seen[listen]} both listen on {listen}: expected an address for each")
            seen[listen] = who
        for name in self.secrets:
            if reason := reserved(name):
                raise ValueError(f"secret {name}: expected another name: {reason}")
            if name in self.variables:
                raise ValueError(f"{name} is both a variable and a secret: expected one of them")
        return self


@dataclass(frozen=True)
class Environment:
    """An environment file with its name, and its directory made absolute."""

    name: str
    directory: Path
    file: EnvironmentFile

    @property
    def hosts(self) -> dict[str, HostEntry]:
        """Every host."""
        return self.file.hosts

    @property
    def web(self) -> dict[str, HostEntry]:
        """The hosts that serve the application, in the file's order."""
        return {name: host for name, host in self.file.hosts.items() if "web" in host.roles}

    @property
    def url(self) -> str:
        """Where users come in."""
        return f"http://{self.file.balancer.listen}"

    @property
    def path(self) -> str:
        """Name the file, as a person finds it."""
        return f"deploy/environments/{self.name}.toml"


def names(directory: Path = DIRECTORY) -> list[str]:
    """List the environments there are."""
    return sorted(path.stem for path in directory.glob("*.toml") if NAME.fullmatch(path.stem))


def read(name: str, directory: Path = DIRECTORY) -> Environment:
    """Read and check `<directory>/<name>.toml`; a relative `directory` in it is taken from the repository's root.

    Raises: EnvironmentFileError with every mistake of the file, each with its line.
    """
    path = directory / f"{name}.toml"
    if not path.is_file():
        raise EnvironmentFileError(f'unknown environment "{name}"{nearest(name, names(directory))}')
    document = load(path, shown_as=Path("deploy", "environments", path.name))
    return Environment(name, *_checked(document))


def _checked(document: Document) -> tuple[Path, EnvironmentFile]:
    file, problems = toml_model.read(EnvironmentFile, document)
    if file is None:
        count = f"{len(problems)} mistake{'s' * (len(problems) != 1)}"
        raise EnvironmentFileError(f"{document.path} has {count}; nothing was touched", problems=tuple(problems))
    return (ROOT / file.directory).resolve(), file
