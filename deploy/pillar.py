"""What Salt's states get to know of a host: made from environment file, contract and secrets; pure.

A host gets only what its roles need: no web host the database owner's password, unless the contract wants to be that
role (`database.role`), and no host another's secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy import backends, database, variables
from deploy.artifacts import units
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.environment_model import PROCESS_ROLES
from deploy.errors import SlipwayError
from deploy.secret import Secret
from deploy.secrets_made import CERTIFICATE, DATABASE, REDIS, STATS, redis_wanted

FEATURES = {
    "firewall": True, "sshd": True, "time": True, "updates": True, "journald": True, "docker": True, "redis": False,
}  # fmt: skip
RUN_IT = {*PROCESS_ROLES}  # roles of hosts that have the application
PARTS = ("app", "haproxy", "postgresql", "redis")  # what not every host has; `[pillar]` gives nobody a part it lacks
STATS_LISTEN = "127.0.0.1:8404"
ENCRYPTED = "-----BEGIN PGP MESSAGE-----"


class PillarError(SlipwayError):
    """A host's pillar can't be made."""


@dataclass(frozen=True)
class Sources:
    """All that pillars are made of."""

    environment: Environment
    contract: Contract
    secrets: Mapping[str, Secret | None]
    keys: Sequence[str]  # who may log in to call the agent
    signers: str | None = None  # text of allowed_signers, when signatures are required


def pillar(sources: Sources, host: str) -> dict[str, Any]:
    """Make the pillar of one host, with the values of its secrets.

    Raises: PillarError naming each secret that does not exist yet, and each placeholder that stands for nothing.
    """
    return _Maker(sources, host).make()


def secrets_of(environment: Environment, host: str) -> tuple[str, ...]:
    """Name the secrets that reach a host."""
    roles, file = environment.hosts[host].roles, environment.file
    names: list[str] = []
    if roles & RUN_IT:
        names += file.secrets
    if "lb" in roles:
        names += [STATS] if file.balancer.tls == "off" else [CERTIFICATE, STATS]
    if "db" in roles:
        names += [*DATABASE, REDIS] if redis_wanted(environment) else DATABASE
    return tuple(dict.fromkeys(names))


def as_sls(made: Mapping[str, Any]) -> str:
    """Write a pillar as an SLS file. Values that are PGP messages are decrypted where they are read."""
    text = json.dumps(made, indent=1, sort_keys=True)
    renderer = "json|gpg" if ENCRYPTED in text else "json"
    return f"#!{renderer}\n{text}\n"


def merged(base: Any, over: Any) -> Any:
    """Merge tables deeply; everything else is replaced."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}
    return over


@dataclass(frozen=True)
class _Maker:
    sources: Sources
    host: str

    def make(self) -> dict[str, Any]:
        environment, contract = self.sources.environment, self.sources.contract
        self._require()
        roles = environment.hosts[self.host].roles
        own: dict[str, Any] = {
            "name": contract.name,
            "environment": environment.name,
            "host": self.host,
            "roles": sorted(roles),
            "hosts": {
                name: {"address": entry.address, "roles": sorted(entry.roles), "listen": entry.listen}
                for name, entry in environment.hosts.items()
            },
            "agent": {
                "user": environment.file.ssh.user,
                "keys": list(self.sources.keys),
                "port": environment.file.ssh.port,
            },
            "features": dict(FEATURES),
        }
        if roles & RUN_IT:
            own["app"] = self._app()
        if "lb" in roles:
            own["haproxy"] = self._haproxy()
        if "db" in roles:
            own["postgresql"] = self._postgresql()
            if redis_wanted(environment):
                own["redis"] = {"password": self._secret(REDIS), "clients": self._addresses(*PROCESS_ROLES)}
        result: dict[str, Any] = merged({"slipway": own}, self._extra(own))
        return result

    def _extra(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the environment file's `[pillar]` as far as it concerns this host."""
        extra = json.loads(json.dumps(self.sources.environment.file.pillar, default=str))  # dates become text
        if isinstance(slipway := extra.get("slipway"), dict):
            extra["slipway"] = {key: value for key, value in slipway.items() if key not in PARTS or key in own}
        return dict(extra)

    def _require(self) -> None:
        environment = self.sources.environment
        names = secrets_of(environment, self.host)
        missing = [name for name in names if self.sources.secrets.get(name) is None]
        _, problems = variables.fill_in(environment, environment.file.variables)
        problems = [f"{name}: this secret does not exist yet" for name in missing] + problems
        if problems:
            raise PillarError(
                f"{self.host}: its pillar can't be made",
                problems=tuple(problems),
                hint=f"fab secrets:{environment.name} --generate" if missing else f"mend {environment.path}",
            )

    def _app(self) -> dict[str, Any]:
        environment, contract = self.sources.environment, self.sources.contract
        words = units.words_of(contract)
        plain, _ = variables.fill_in(environment, environment.file.variables)
        return {
            "python": contract.python,
            "packages": contract.slipway.for_manifest().get("system_packages", {}),
            "artifact": environment.file.artifact,
            "listen": environment.hosts[self.host].listen,
            "variables": plain,
            "secrets": {name: self._secret(name) for name in environment.file.secrets},
            "peers": self._addresses("db"),
            "signers": self.sources.signers,
            **{key: words[key] for key in ("start_seconds", "graceful_seconds", "stop_seconds", "summary", "url")},
        }

    def _haproxy(self) -> dict[str, Any]:
        environment, contract = self.sources.environment, self.sources.contract
        entry = environment.file.balancer
        return {
            "listen": entry.listen,
            "tls": None if entry.tls == "off" else {"certificate": self._secret(CERTIFICATE)},
            "servers": [{"name": name, "address": host.listen} for name, host in environment.web.items()],
            "health": contract.health.model_dump(exclude_none=True, exclude={"deadline"}),
            **backends.of(contract, entry),
            "traffic": contract.slipway.traffic(),
            "stats": {"listen": STATS_LISTEN, "user": "stats", "password": self._secret(STATS)},
        }

    def _postgresql(self) -> dict[str, Any]:
        role_names = database.roles(self.sources.contract.name)
        return {
            "database": role_names["app"],
            "roles": {
                role: {"name": role_names[role], "password": self._secret(secret)} for secret, role in DATABASE.items()
            },
            "clients": self._addresses(*PROCESS_ROLES),
        }

    def _addresses(self, *roles: str) -> list[str]:
        hosts = self.sources.environment.hosts.values()
        return list(dict.fromkeys(host.address for host in hosts if host.roles & set(roles)))

    def _secret(self, name: str) -> str:
        value = self.sources.secrets[name]
        assert value is not None, name
        return value.reveal()
