"""Environment files: `deploy/environments/<name>.toml`, checked in full, each mistake with its line and what was expected."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from deploy.errors import SlipwayError
from deploy.toml_document import Document, explain, load

DIRECTORY = Path(__file__).parent / "environments"
NAME = re.compile(r"[a-z][a-z0-9-]*")


class EnvironmentError_(SlipwayError):
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
Variable = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HostEntry(_Table):
    """`[hosts.NAME]`: a server and what it is for."""

    roles: frozenset[Literal["web", "worker", "db", "lb"]] = Field(min_length=1)
    listen: Address


class BalancerEntry(_Table):
    """`[balancer]`: where users come in."""

    listen: Address
    max_request: int = Field(60, ge=1, le=3600, description="seconds the longest request may take")


class RolloutEntry(_Table):
    """`[rollout]`: how carefully."""

    canary: int = Field(1, ge=0)
    batch: Annotated[int | str, BeforeValidator(_batch)] = 1
    floor: int = Field(1, ge=0)
    drain_timeout: float = Field(30, gt=0, le=3600, description="seconds")
    keep: int = Field(5, ge=2, le=100, description="generations kept for a rollback")
    lease: float = Field(30, ge=5, le=600, description="seconds a deployer may be silent before another may take over")


class ProberEntry(_Table):
    """`[prober]`: the requests that watch a rollout."""

    clients: int = Field(2, ge=0, le=256)
    rate: float = Field(20, gt=0, le=10000, description="requests a second, all clients together")


class Environment(_Table):
    """One environment: hosts by role, rollout policy, plain variables, names of secrets."""

    name: str
    transport: Literal["local"]
    directory: Path
    hosts: dict[str, HostEntry] = Field(min_length=1)
    balancer: BalancerEntry
    rollout: RolloutEntry = RolloutEntry()
    prober: ProberEntry = ProberEntry()
    variables: dict[str, Variable] = {}
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
        for name in variables:
            if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
                raise ValueError(f"{name}: expected a variable's name in upper case, such as LOG_LEVEL")
        return variables

    @model_validator(mode="after")
    def _ports_differ(self) -> Environment:
        seen: dict[str, str] = {}
        for who, listen in [("balancer", self.balancer.listen), *((n, h.listen) for n, h in self.hosts.items())]:
            if listen in seen:
                raise ValueError(f"{who} and {seen[listen]} both listen on {listen}: expected an address for each")
            seen[listen] = who
        for name in self.secrets:
            if name in self.variables:
                raise ValueError(f"{name} is both a variable and a secret: expected one of them")
        return self

    @property
    def web(self) -> dict[str, HostEntry]:
        """The hosts that serve the application, in the file's order."""
        return {name: host for name, host in self.hosts.items() if "web" in host.roles}

    @property
    def url(self) -> str:
        """Where users come in."""
        return f"http://{self.balancer.listen}"


def names(directory: Path = DIRECTORY) -> list[str]:
    """List the environments there are."""
    return sorted(path.stem for path in directory.glob("*.toml") if NAME.fullmatch(path.stem))


def nearest(word: str, known: list[str]) -> str:
    """Name the nearest known word, as the end of a message: ` (did you mean "local"?)`."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f' (did you mean "{close[0]}"?)' if close else ""


def read(name: str, directory: Path = DIRECTORY) -> Environment:
    """Read and check `<directory>/<name>.toml`; a relative `directory` in it is taken from the repository's root.

    Raises: EnvironmentError_ with every mistake of the file, each with its line.
    """
    path = directory / f"{name}.toml"
    if not path.is_file():
        known = names(directory)
        raise EnvironmentError_(
            f'unknown environment "{name}"{nearest(name, known)}', hint=f"there is: {', '.join(known) or 'none'}"
        )
    document = load(path)
    return check(document, name)


def check(document: Document, name: str) -> Environment:
    """Check a parsed file; see `read`."""
    try:
        environment = Environment.model_validate({**document.data, "name": name})
    except ValidationError as error:
        problems = explain(document, error, Environment)
        raise EnvironmentError_(f"{document.path}: {len(problems)} to mend", problems=tuple(problems)) from None
    root = Path(__file__).resolve().parent.parent
    return environment.model_copy(update={"directory": root / environment.directory})
