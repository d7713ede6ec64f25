"""What an app finds in its state directory before it starts: folders, and the configuration files that it reads.

The app's own user does this, on a server as in a directory: only there may it write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.agent.errors import AgentError


def furnish(state: Path, contract: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Make the folders that the contract names, and write its configuration files, of this generation's secrets.

    Raises: AgentError no-config.
    """
    for folder in folders(contract):
        make(state, folder)
    for place, secret in contract.get("config_files", {}).items():
        source = environment.get(f"{secret}_FILE")
        if source is None:
            raise AgentError(
                "no-config", f"the generation has no {secret}, which is to be {place}", hint="deploy once more"
            )
        make(state, str(PurePosixPath(place).parent))
        _put(state / place, Path(source).read_bytes())


def complete(
    state: Path, contract: Mapping[str, Any], environment: Mapping[str, str], secrets: Iterable[str]
) -> dict[str, str]:
    """Furnish the state directory, and give all variables that the app starts with.

    Raises: AgentError no-config.
    """
    furnish(state, contract, environment)
    return {**environment, **revealed(environment, contract, secrets)}


def folders(contract: Mapping[str, Any]) -> list[str]:
    """List the folders below the state directory: what a link leads to is one, unless its name has an ending."""
    linked = [
        str(PurePosixPath(place).parent) if PurePosixPath(place).suffix else place
        for place in contract.get("links", {}).values()
    ]
    return sorted({*contract.get("state_dirs", []), *linked} - {"."})


def make(state: Path, folder: str) -> None:
    """Make a folder below the state directory, closed to others."""
    path = state
    for part in PurePosixPath(folder).parts:
        path /= part
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


def _put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone; one that is right already is left alone."""
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.rename(aside, path)


def revealed(environment: Mapping[str, str], contract: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, str]:
    """Give secrets as variables, too, to an app that reads no files: those that are no configuration file."""
    if not contract.get("secrets_in_environment"):
        return {}
    files = set(contract.get("config_files", {}).values())
    return {
        name: Path(environment[f"{name}_FILE"]).read_text("utf-8")
        for name in secrets
        if name not in files and f"{name}_FILE" in environment
    }
