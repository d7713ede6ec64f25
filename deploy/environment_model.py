"""What an environment file may say: its tables and keys, each checked, as pydantic models."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deploy.bake import Limits
from deploy.batches import CONFIRM, at_least, at_most
from deploy.toml_model import Mistakes, TomlModel

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
ANY = ("0.0.0.0", "::", "*")  # noqa: S104  (nothing is bound here: where a program listens at every address of its server)
PORT = 8000  # where a web host listens unless its entry says otherwise


def _address(value: Any) -> Any:
    if isinstance(value, str):
        host, _, port = value.rpartition(":")
        if host and port.isdigit() and 0 < int(port) < 65536:
            return value
    raise ValueError('expected "ADDRESS:PORT", such as "127.0.0.1:8100"')


def _ip(value: Any) -> Any:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError('expected an IP address in quotes, such as "10.0.0.21"') from None


def _batch(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and (m := re.fullmatch(r"(\d+)%", value)) and 1 <= int(m[1]) <= 100:
        return value
    raise ValueError('expected a number of hosts such as 2, or a share such as "25%"')


def _amount(value: Any) -> Any:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and (m := re.fullmatch(r"(\d+)%", value)) and int(m[1]) <= 100:
        return value
    raise ValueError('expected a number of hosts such as 2, or a share such as "75%"')


def _pause(value: Any) -> Any:
    if value == CONFIRM or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 86400):
        return value
    raise ValueError(f'expected seconds from 0 to 86400, or "{CONFIRM}"')


Amount = Annotated[int | str, BeforeValidator(_amount)]
Address = Annotated[str, BeforeValidator(_address)]
Ip = Annotated[str, BeforeValidator(_ip)]
Variable = Annotated[
    str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) and not isinstance(v, bool) else v)
]
Role = Literal["web", "worker", "scheduler", "db", "lb"]
SALT_LEASE = 15  # seconds: a third of it must do for a renewal
PROCESS_ROLES = ("web", "worker", "scheduler")  # those that are also names of processes


def reserved(name: str) -> str:
    """Say why a variable can't have this name; empty when it can."""
    return next((reason for pattern, reason in RESERVED if re.fullmatch(pattern, name)), "")


def _checked(variables: dict[str, str]) -> dict[str, str]:
    """Refuse names and values that no process could get."""
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            raise ValueError(f"{name}: expected a variable's name in upper case, such as LOG_LEVEL")
        if reason := reserved(name):
            raise ValueError(f"{name}: expected another name: {reason}")
        if "\0" in value:
            raise ValueError(f"{name}: expected text without a NUL character")
    return variables


class HostEntry(TomlModel):
    """`[hosts.NAME]`: a server and what it is for."""

    roles: frozenset[Role] = Field(min_length=1)
    address: Ip = ""  # of the server itself; the hosts of `local` have none
    listen: Address = ""  # of the application on it, where that serves

    @property
    def processes(self) -> tuple[str, ...]:
        """What of a generation it is there for."""
        return tuple(role for role in PROCESS_ROLES if role in self.roles)


class SshEntry(TomlModel):
    """`[ssh]`: how servers are reached. What is not said here is up to ssh and its ssh_config(5)."""

    user: str = Field("deploy", min_length=1, description="who may call the agent, and nothing else, by sudo")
    admin: str = Field("root", min_length=1, description="who sets servers up: root, or a user with sudo")
    port: int = Field(22, ge=1, le=65535)
    identity: Annotated[Path | None, Field(strict=False)] = None
    known_hosts: Annotated[Path | None, Field(strict=False)] = None
    config: Annotated[Path | None, Field(strict=False)] = None
    connect_timeout: int = Field(10, ge=1, le=300, description="seconds")
    silence: int = Field(15, ge=3, le=300, description="seconds without a sign of life until a connection is given up")


class SaltEntry(TomlModel):
    """`[salt]`: the salt-master that carries requests to agents, with `engine = "salt"`."""

    master: str = Field("", description="a host of this file, or an address")
    program: str = Field(
        "salt-run", min_length=1, description="one of the master's programs: by it Salt is found there"
    )


class RpmEntry(TomlModel):
    """`[rpm]`: where hosts get packages, with `artifact = "rpm"`."""

    source: Literal["operator", "repository"] = "operator"


def _share(value: Any) -> Any:
    if isinstance(value, str) and (m := re.fullmatch(r"(\d+(?:\.\d+)?)%", value)) and float(m[1]) <= 100:
        return value
    raise ValueError('expected a share such as "1%"')


Share = Annotated[str, BeforeValidator(_share)]


def share(text: str) -> float:
    """Read a share such as "1%"."""
    return float(text.rstrip("%")) / 100


class BackendEntry(TomlModel):
    """`[balancer.backends.NAME]`: requests that have places of their own at every web host."""

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    share: Share = "25%"
    max_request: int | None = Field(None, ge=1, le=3600, description="seconds; by default as everywhere")

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> BackendEntry:
        if not self.paths and not self.names:
            raise ValueError('expected paths = ["/..."], or names = ["HOST"]: whose requests are they?')
        for path in self.paths:
            if not re.fullmatch(r"(/[\w.~-]+)+", path, re.ASCII):
                raise ValueError(f'paths: expected one such as "/api", without a slash at its end; got {path!r}')
        for name in self.names:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name):
                raise ValueError(f'names: expected one in lower case such as "api.example.org"; got {name!r}')
        if not 0 < share(self.share) < 1:
            raise ValueError(f'share: expected more than "0%" and less than "100%"; got {self.share!r}')
        return self


class BalancerEntry(TomlModel):
    """`[balancer]`: where users come in."""

    listen: Address
    tls: Literal["off", "self-signed", "provided"] = "off"
    names: tuple[str, ...] = ()
    max_request: int = Field(60, ge=1, le=3600, description="seconds the longest request may take")
    backends: dict[str, BackendEntry] = Field(default={})

    @model_validator(mode="after")
    def _backends_leave_room(self) -> BalancerEntry:
        for name in self.backends:
            if not NAME.fullmatch(name):
                raise ValueError(f"backends.{name}: expected a name of lower-case letters, digits and dashes")
        if sum(share(backend.share) for backend in self.backends.values()) >= 1:
            raise ValueError("backends: expected shares of less than 100% together; the rest is for all other requests")
        for what in ("paths", "names"):
            said = [each for backend in self.backends.values() for each in getattr(backend, what)]
            if twice := next((each for each in said if said.count(each) > 1), None):
                raise ValueError(f"backends: expected {twice} in one of them only")
        return self


class MigrateEntry(TomlModel):
    """`[migrate]`: what the migrate command gets instead: the role that owns the schema."""

    variables: dict[str, Variable] = Field(default={})
    secrets: dict[str, str] = Field(default={})
    rehearse: bool = Field(True, description="ask what runs, on a scratch copy of the schema, before migrations run")

    _variables = field_validator("variables", mode="after")(_checked)


class BackupEntry(TomlModel):
    """`[backup]`: of the database, on the host that has it."""

    variable: str = Field("DATABASE_URL", min_length=1, description="the one that says where the database is")
    keep: int = Field(5, ge=1, le=1000, description="backups kept")
    contract: bool = Field(True, description="a backup before each contract migration")


class BakeEntry(TomlModel):
    """`[rollout.bake]`: how much worse than the old servers new ones may be, compared after each batch."""

    seconds: float = Field(10, ge=0, le=86400, description="of the comparison; 0: none")
    requests: int = Field(20, ge=1, description="fewer make no verdict")
    errors: Share = "0.5%"
    slower: float = Field(2, ge=1, description="times the old servers' response time")
    slack: float = Field(50, ge=0, description="milliseconds more that never count")
    retries: Share = "5%"
    restarts: int = Field(0, ge=0)
    memory: float = Field(2, ge=1, description="times what the largest worker of the old servers has")

    def limits(self) -> Limits:
        """Give what a verdict needs."""
        errors, retries = share(self.errors), share(self.retries)
        return Limits(self.requests, errors, self.slower, self.slack, retries, self.restarts, self.memory)


class RolloutEntry(TomlModel):
    """`[rollout]`: how carefully."""

    canary: int = Field(1, ge=0)
    batch: Annotated[int | str, BeforeValidator(_batch)] = 1
    floor: Amount = 1
    max_unavailable: Amount | None = None
    pause: Annotated[float | str, BeforeValidator(_pause)] = 0
    pause_after: Literal["batch", "canary"] = "batch"
    drain_timeout: float = Field(30, gt=0, le=3600, description="seconds")
    keep: int = Field(5, ge=2, le=100, description="generations kept for a rollback")
    lease: float = Field(30, ge=5, le=600, description="seconds a deployer may be silent before another may take over")
    bake: BakeEntry = BakeEntry()


class ProberEntry(TomlModel):
    """`[prober]`: the requests that watch a rollout."""

    clients: int = Field(2, ge=0, le=256)
    rate: float = Field(20, gt=0, le=10000, description="requests a second, all clients together")


def _unavailable(amount: int | str | None, total: int) -> str:
    if isinstance(amount, int) and amount > total:
        return f"expected at most {total}, the number of web hosts"
    if isinstance(amount, str) and amount != "0%" and at_most(amount, total) == 0:
        return f"expected a share that is at least one of {total} web hosts; 0 says that none may be out of service"
    return ""


class EnvironmentFile(TomlModel):
    """One environment as written: hosts by role, rollout policy, plain variables, names of secrets."""

    transport: Literal["local", "ssh"]
    directory: Annotated[Path | None, Field(strict=False)] = None
    engine: Literal["ssh", "salt"] = "ssh"
    artifact: Literal["tree", "rpm", "image"] = "tree"
    rpm: RpmEntry = RpmEntry()
    signatures: Literal["required", "optional"] = "optional"
    dirty: Literal["allowed", "refused"] = "allowed"
    confirm: bool = False
    hosts: dict[str, HostEntry] = Field(min_length=1)
    ssh: SshEntry = SshEntry()
    salt: SaltEntry = SaltEntry()
    balancer: BalancerEntry
    rollout: RolloutEntry = RolloutEntry()
    prober: ProberEntry = ProberEntry()
    variables: dict[str, Variable] = Field(default={})
    secrets: tuple[str, ...] = ()
    secrets_command: str = ""
    migrate: MigrateEntry = MigrateEntry()
    backup: BackupEntry = BackupEntry()
    pillar: dict[str, Any] = Field(default={})

    _variables = field_validator("variables", mode="after")(_checked)

    @field_validator("hosts")
    @classmethod
    def _names(cls, hosts: dict[str, HostEntry]) -> dict[str, HostEntry]:
        for name in hosts:
            if not NAME.fullmatch(name):
                raise ValueError(f"host {name!r}: expected lower-case letters, digits and dashes")
        if not any("web" in host.roles for host in hosts.values()):
            raise ValueError('expected at least one host with roles = ["web"]')
        if len(several := [name for name, host in hosts.items() if "scheduler" in host.roles]) > 1:
            raise ValueError(f"the role scheduler: expected one host, which has the only one; got {', '.join(several)}")
        return hosts

    @model_validator(mode="after")
    def _fits_transport(self) -> EnvironmentFile:
        for name, host in self.hosts.items():
            if self.transport == "ssh" and not host.address:
                raise ValueError(f'hosts.{name}: expected address = "IP", where ssh finds it')
            if host.listen and host.processes and "web" not in host.roles:
                what = host.processes[0]
                raise ValueError(f"hosts.{name}.listen: expected only where roles has web; a {what} listens nowhere")
            if self.transport == "local" and host.address:
                raise ValueError(f'hosts.{name}.address: expected only with transport = "ssh"')
            if self.transport == "local" and not host.listen and "web" in host.roles:
                raise ValueError(f'hosts.{name}: expected listen = "ADDRESS:PORT"')
        if self.transport == "local" and self.directory is None:
            raise ValueError('expected directory = "var/NAME": where the environment lives')
        if self.transport == "local" and self.balancer.tls != "off":
            raise ValueError('balancer.tls: expected "off" where transport = "local"')
        if self.transport == "ssh" and not any("lb" in host.roles for host in self.hosts.values()):
            raise ValueError('expected a host with roles = ["lb"]')
        if self.transport == "local" and self.artifact != "tree":
            raise ValueError('artifact: expected "tree" where transport = "local"')
        return self

    @model_validator(mode="after")
    def _fits_engine(self) -> EnvironmentFile:
        if self.engine == "ssh":
            return self
        found = {
            ("engine",): 'expected only where transport = "ssh"' if self.transport != "ssh" else "",
            ("salt", "master"): "" if self.salt.master else "expected a host of this file or an address",
            ("rollout", "lease"): f'expected at least {SALT_LEASE} with engine = "salt": a renewal takes seconds'
            if self.rollout.lease < SALT_LEASE
            else "",
        }
        if any(found.values()):
            raise Mistakes({key: text for key, text in found.items() if text})
        return self

    @model_validator(mode="after")
    def _rollout_fits(self) -> EnvironmentFile:
        total, wanted = sum("web" in host.roles for host in self.hosts.values()), self.rollout
        found = {
            "canary": f"expected at most {total}, the number of web hosts" if wanted.canary > total else "",
            "floor": f"expected at most {total}, the number of web hosts"
            if at_least(wanted.floor, total) > total
            else "",
            "max_unavailable": _unavailable(wanted.max_unavailable, total),
            "pause_after": "expected a canary to pause after, but rollout.canary is 0"
            if wanted.pause_after == "canary" and not wanted.canary
            else "",
        }
        if any(found.values()):
            raise Mistakes({("rollout", key): text for key, text in found.items() if text})
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> EnvironmentFile:
        seen: dict[str, str] = {}
        for who, listen in [("balancer", self.balancer.listen), *((n, h.listen) for n, h in self.hosts.items())]:
            if listen and listen in seen:
                raise ValueError(f"{who} and {seen[listen]} both listen on {listen}: expected an address for each")
            seen[listen] = who
        return self

    @model_validator(mode="after")
    def _every_balancer_can_listen(self) -> EnvironmentFile:
        own = {host.address: name for name, host in self.hosts.items() if "lb" in host.roles}
        where, _, port = self.balancer.listen.rpartition(":")
        if len(own) > 1 and where.strip("[]") in own:
            only = own[where.strip("[]")]
            text = f'expected "0.0.0.0:{port}", or an address that load balancers share: this one is {only}\'s alone'
            raise Mistakes({("balancer", "listen"): text})
        return self

    @model_validator(mode="after")
    def _one_meaning_a_name(self) -> EnvironmentFile:
        for name in self.secrets:
            if reason := reserved(name):
                raise ValueError(f"secret {name}: expected another name: {reason}")
            if name in self.variables:
                raise ValueError(f"{name} is both a variable and a secret: expected one of them")
        for name in self.migrate.secrets:
            if reason := reserved(name):
                raise ValueError(f"migrate.secrets.{name}: expected another name: {reason}")
            if name in self.migrate.variables:
                raise ValueError(f"migrate: {name} is both a variable and a secret: expected one of them")
        return self
