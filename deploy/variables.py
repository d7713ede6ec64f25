"""The wanted variables of an environment: plain ones from its file, secrets from where they are kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy import secrets_store
from deploy.contract_model import secret_of_file
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.secret import Secret
from deploy.toml_model import nearest

_WORD = re.compile(r"\{([A-Za-z_]\w*)\}")  # in configuration files: what is not known stays as it is
_ON_SERVER = {"release": "{release}", "state": "{state}"}  # the agent knows these
PLACEHOLDER = re.compile(r"\{([a-z]+)\}")  # nothing else in braces is touched: a value may be JSON


class VariablesError(SlipwayError):
    """The variables of an environment can't be put together."""


@dataclass(frozen=True)
class Variables:
    """What a generation runs with."""

    plain: Mapping[str, str]
    secret: Mapping[str, Secret]

    @property
    def digest(self) -> str:
        """Identify this very set, in the agent's canonical form (docs/reference/agent.md)."""
        canonical = {"secrets": self.revealed(), "variables": dict(self.plain)}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def replaced_by(self, others: Variables) -> Variables:
        """Lay others on top, as the agent does: a name is replaced in whatever form it was there."""
        names = {*others.plain, *others.secret}
        plain = {name: value for name, value in self.plain.items() if name not in names}
        secret = {name: value for name, value in self.secret.items() if name not in names}
        return Variables({**plain, **others.plain}, {**secret, **others.secret})

    def revealed(self) -> dict[str, str]:
        """Give the secrets' values, for the one request that hands them over."""
        return {name: secret.reveal() for name, secret in self.secret.items()}


def wanted(environment: Environment) -> Variables:
    """Put together what the environment's next generation gets.

    Raises: VariablesError naming every unknown placeholder and every missing secret.
    """
    found = _together(environment, environment.file.variables, {name: name for name in environment.file.secrets})
    return Variables(found.plain, {**found.secret, **_config_files(environment, found)})


def for_migrate(environment: Environment) -> Variables:
    """Put together what the migrate command gets on top of that, and instead: the role that owns the schema.

    Raises: VariablesError.
    """
    return _together(environment, environment.file.migrate.variables, environment.file.migrate.secrets)


def _together(environment: Environment, written: Mapping[str, str], secret: Mapping[str, str]) -> Variables:
    """Fill in placeholders and read secrets, given as variable to name of the secret."""
    plain, problems = fill_in(environment, written)
    values = secrets_store.read(environment, secret.values())
    found = {variable: values[name] for variable, name in secret.items()}
    missing = list(dict.fromkeys(secret[variable] for variable, value in found.items() if value is None))
    problems += [f"{name}: this secret does not exist yet" for name in missing]
    if problems:
        raise VariablesError(
            f"environment {environment.name}: its variables can't be put together",
            problems=tuple(problems),
            hint=f"fab bootstrap:{environment.name} makes missing secrets" if missing else None,
        )
    return Variables(plain, {name: secret for name, secret in found.items() if secret})


def _config_files(environment: Environment, found: Variables) -> dict[str, Secret]:
    """Fill the contract's configuration files in, each a secret: it may have some in it.

    Raises: VariablesError naming what a file asks for and nobody gives.
    """
    secret = found.revealed()  # also in a variable's value: "postgresql://shop:{DATABASE_PASSWORD}@{db}/shop"
    plain = {name: _WORD.sub(lambda word: secret.get(word[1], word[0]), value) for name, value in found.plain.items()}
    known = {**placeholders(environment), **plain, **secret}
    files, problems = {}, []
    for place, text in environment.config_files.items():
        unknown = [name for name in _WORD.findall(text) if name.isupper() and name not in known]
        problems += [f"config_files: {place}: nobody gives {{{name}}}{nearest(name, list(known))}" for name in unknown]
        filled = _WORD.sub(lambda word: known.get(word[1], word[0]), text)
        files[secret_of_file(place)] = Secret(filled)
    if problems:
        raise VariablesError(
            f"environment {environment.name}: its configuration files can't be put together",
            problems=tuple(problems), hint="name it in `secrets` or `env` of the contract, or in the environment file",
        )  # fmt: skip
    return files


def fill_in(environment: Environment, written: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Fill placeholders in; answer the values, and what is wrong with them."""
    known, plain, problems = placeholders(environment), {}, [*environment.lacking]
    for name, value in written.items():
        unknown = [field for field in PLACEHOLDER.findall(value) if field not in known]
        problems += [f"{name}: unknown placeholder {{{f}}}{nearest(f, list(known))}" for f in unknown]
        plain[name] = PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), value)
    return plain, problems


def placeholders(environment: Environment) -> dict[str, str]:
    """Say what stands for what: the same on every host, or generations would differ from host to host."""
    known = {"environment": environment.name, **_ON_SERVER}
    if not environment.remote:
        return {**known, "directory": str(environment.directory)}
    databases = [host.address for host in environment.having("db").values()]
    return {**known, "db": databases[0]} if databases else known
