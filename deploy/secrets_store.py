"""Where the secrets of an environment are kept, and in which order they are looked for.

1. the process environment, as `SLIPWAY_<ENV>_<NAME>`: what a CI system sets;
2. what Slipway itself keeps and writes: `.env.<env>` at the repository's root, or in an environment of
   `transport = "local"` one file for each secret under its directory;
3. the environment's `secrets_command`: a password manager's own command.

The first that has a value wins. A value that is found is a Secret from then on.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy import secrets_file
from deploy.environment import ROOT, Environment
from deploy.errors import SlipwayError
from deploy.secret import Secret

COMMAND_TIMEOUT = 30.0  # seconds; a password manager may have to ask a server
PARALLEL = 8  # commands at once
_FIELD = re.compile(r"\{(environment|name)\}")


class SecretsError(SlipwayError):
    """Secrets can't be read or kept."""


@dataclass(frozen=True)
class Found:
    """A secret that exists: its value and, for people, where it is from."""

    value: Secret
    source: str


@dataclass(frozen=True)
class Answer:
    """What was found under each name, and why a command that was asked gave nothing."""

    found: Mapping[str, Found]
    reasons: Mapping[str, str]


def read(
    environment: Environment,
    names: Iterable[str],
    *,
    environ: Mapping[str, str] = os.environ,
    root: Path = ROOT,
) -> dict[str, Secret | None]:
    """Answer the value of each secret, or None where it does not exist yet.

    Raises: SecretsError when a place can't be read, or others could read it.
    """
    names = list(names)
    answer = find(environment, names, environ=environ, root=root)
    return {name: answer.found[name].value if name in answer.found else None for name in names}


def find(
    environment: Environment,
    names: Iterable[str],
    *,
    environ: Mapping[str, str] = os.environ,
    root: Path = ROOT,
) -> Answer:
    """Answer each secret that exists, with where it is from.

    Raises: SecretsError.
    """
    names = list(dict.fromkeys(names))
    found = {}
    kept = _kept(environment, names, root)
    for name in names:
        if given := environ.get(variable(environment, name), "").strip():
            found[name] = Found(Secret(given), f"the variable {variable(environment, name)}")
        elif name in kept:
            found[name] = kept[name]
    missing = [name for name in names if name not in found]
    command = environment.file.secrets_command
    if not (command and missing):
        return Answer(found, {})
    with ThreadPoolExecutor(min(PARALLEL, len(missing))) as pool:
        asked = dict(zip(missing, pool.map(lambda name: _ask(environment, name), missing), strict=True))
    found |= {name: said for name, said in asked.items() if isinstance(said, Found)}
    return Answer(found, {name: said for name, said in asked.items() if isinstance(said, str)})


def variable(environment: Environment, name: str) -> str:
    """Name the variable of the process environment that has precedence."""
    return f"SLIPWAY_{environment.name.upper().replace('-', '_')}_{name}"


def place(environment: Environment, root: Path = ROOT) -> Path:
    """Name the file of a remote environment's secrets."""
    return root / f".env.{environment.name}"


def secret_path(environment: Environment, name: str) -> Path:
    """Name the file of one secret of an environment of `transport = "local"`."""
    return environment.directory / "secrets" / name


def keep(environment: Environment, values: Mapping[str, Secret], *, root: Path = ROOT) -> str:
    """Write new values where Slipway keeps secrets, readable by you alone; answer where.

    Raises: SecretsError when it is not Slipway that keeps this environment's secrets.
    """
    if environment.remote and environment.file.secrets_command:
        raise SecretsError(
            f"{environment.name}: {environment.path} has a secrets_command, so Slipway writes no secrets of its own",
            problems=tuple(values),
            hint="put these where that command finds them",
        )
    if environment.remote:
        secrets_file.write(place(environment, root), {name: value.reveal() for name, value in values.items()})
        return place(environment, root).name
    for name, value in values.items():
        secrets_file.write_alone(secret_path(environment, name), value.reveal())
    return str(environment.directory / "secrets")


def _kept(environment: Environment, names: list[str], root: Path) -> dict[str, Found]:
    if not environment.remote:
        values = {name: secrets_file.read_alone(secret_path(environment, name)) for name in names}
        return {name: Found(Secret(v), str(secret_path(environment, name))) for name, v in values.items() if v}
    path = place(environment, root)
    values = dict(secrets_file.read(path))
    return {name: Found(Secret(v), path.name) for name in names if (v := values.get(name))}


def _ask(environment: Environment, name: str) -> Found | str:
    """Ask the environment's command for one secret; why not, when it has none."""
    known = {"environment": environment.name, "name": name}
    words = [_FIELD.sub(lambda at: known[at[1]], word) for word in shlex.split(environment.file.secrets_command)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise SecretsError(
            f"{environment.path}: secrets_command: {words[0]} is not installed here",
            hint=f"install {words[0]}, or set {variable(environment, name)}",
        ) from None
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        return f"{words[0]}: {str(error)[:200]}"
    if done.returncode == 0 and (value := done.stdout.strip()):
        return Found(Secret(value), f"{words[0]} (secrets_command)")
    said = done.stderr.strip().splitlines()
    return f"{words[0]}: {said[-1] if said else f'exit code {done.returncode} and no value'}"
