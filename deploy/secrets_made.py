"""Which secrets an environment needs, and making those that can be made."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy import secrets_store
from deploy.environment import ROOT, Environment
from deploy.secret import Secret
from deploy.secrets_store import SecretsError

LENGTH = 36  # random bytes: 48 characters, all of them letters, digits, - and _

DATABASE = {  # secret: whose password
    "DATABASE_PASSWORD": "app",
    "DATABASE_OWNER_PASSWORD": "owner",
    "DATABASE_READER_PASSWORD": "reader",
}
CERTIFICATE = "TLS_CERTIFICATE"
STATS = "STATS_PASSWORD"
REDIS = "REDIS_PASSWORD"


@dataclass(frozen=True)
class Need:
    """A secret that an environment needs."""

    purpose: str
    made: Literal["random", "certificate", "by you"]  # how it comes into being


def needed(environment: Environment) -> dict[str, Need]:
    """List what an environment needs: pure, from its file alone.

    What belongs to somebody else's server, such as the password of a database that is no host of the file, can't be
    made here.
    """
    file, needs = environment.file, dict[str, Need]()
    own_database = bool(environment.having("db"))
    for name in file.secrets:
        foreign = environment.remote and not own_database and name in (*DATABASE, REDIS)
        needs[name] = Need("the application", "by you" if foreign else "random")
    for name in file.migrate.secrets.values():
        needs.setdefault(name, Need("the migrate command", "random" if own_database else "by you"))
    if not environment.remote:
        return needs
    if own_database:
        for name, role in DATABASE.items():
            needs.setdefault(name, Need(f"PostgreSQL: the role {role}", "random"))
        if redis_wanted(environment):
            needs.setdefault(REDIS, Need("Redis", "random"))
    if file.balancer.tls != "off":
        kind: Literal["certificate", "by you"] = "certificate" if file.balancer.tls == "self-signed" else "by you"
        needs[CERTIFICATE] = Need("HAProxy: certificate, chain and key", kind)
    needs.setdefault(STATS, Need("HAProxy: the statistics page", "random"))
    return needs


def redis_wanted(environment: Environment) -> bool:
    """Say whether `[pillar]` switches Redis on."""
    slipway = environment.file.pillar.get("slipway")
    features = slipway.get("features") if isinstance(slipway, dict) else None
    return bool(isinstance(features, dict) and features.get("redis"))


def generate_missing(environment: Environment, *, root: Path = ROOT) -> list[str]:
    """Make each secret that does not exist yet; return their names.

    Raises: SecretsError naming those that only you can give.
    """
    needs = needed(environment)
    answer = secrets_store.find(environment, needs, root=root)
    missing = [name for name in needs if name not in answer.found]
    by_you = [name for name in missing if needs[name].made == "by you"]
    if by_you:
        raise SecretsError(
            f"{environment.name}: {len(by_you)} secret{'s' * (len(by_you) != 1)} can't be made here",
            problems=tuple(_why(environment, name, needs[name], answer.reasons) for name in by_you),
            hint=f"put them into .env.{environment.name} (chmod 600), or see docs/reference/secrets.md",
        )
    if missing:
        secrets_store.keep(environment, make(environment, {n: needs[n] for n in missing}), root=root)
    return missing


def rotate(environment: Environment, names: Iterable[str], *, root: Path = ROOT) -> str:
    """Make new values for secrets that exist; answer where they were written.

    Raises: SecretsError when Slipway does not keep one of them.
    """
    needs, chosen = needed(environment), list(names)
    problems = [f"{name}: not needed here; needed are {', '.join(needs)}" for name in chosen if name not in needs]
    problems += [f"{name}: only you can make it" for name in chosen if name in needs and needs[name].made == "by you"]
    found = secrets_store.find(environment, [name for name in chosen if name in needs], root=root).found
    given = secrets_store.variable
    problems += [
        f"{name}: it comes from {found[name].source}: change it there"
        for name in chosen
        if name in found and found[name].source == f"the variable {given(environment, name)}"
    ]
    if problems:
        raise SecretsError(f"{environment.name}: these can't be rotated", problems=tuple(problems))
    return secrets_store.keep(environment, make(environment, {name: needs[name] for name in chosen}), root=root)


def make(environment: Environment, needs: Mapping[str, Need]) -> dict[str, Secret]:
    """Make a new value for each."""
    values = {}
    for name, need in needs.items():
        if need.made == "certificate":
            from deploy import certificate  # imported here: most secrets are just random

            values[name] = certificate.self_signed(certificate.names_of(environment))
        else:
            values[name] = Secret(secrets.token_urlsafe(LENGTH))
    return values


def _why(environment: Environment, name: str, need: Need, reasons: Mapping[str, str]) -> str:
    variable = secrets_store.variable(environment, name)
    said = f"; {reasons[name]}" if name in reasons else ""
    return f"{name} ({need.purpose}): expected it in {variable} or .env.{environment.name}{said}"
