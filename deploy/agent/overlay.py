"""Variables and secrets that replace a generation's for one command, and are gone with it.

The role that owns the database's schema is for migrations; what serves on a host must not find its password there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from deploy.agent import files
from deploy.agent.layout import Layout

FILE, SECRETS = "overlay.json", "secrets"


class Overlay(NamedTuple):
    """What replaces variables of a generation."""

    variables: Mapping[str, str]
    secrets: Mapping[str, str]


@contextlib.contextmanager
def written(layout: Layout, overlay: Overlay | None) -> Iterator[Path | None]:
    """Give a folder with the overlay that only we can read, and remove it; None when nothing is replaced.

    What a killed agent leaves is swept away by the next writing verb.
    """
    if overlay is None or not (overlay.variables or overlay.secrets):
        yield None
        return
    layout.private.mkdir(mode=0o700, exist_ok=True)
    folder = files.scratch(layout.private, "overlay")
    try:
        folder.mkdir(mode=0o700)
        (folder / SECRETS).mkdir(mode=0o700)
        for name, value in overlay.secrets.items():
            files.write_file(folder / SECRETS / name, value.encode(), 0o600)
        content = {"variables": dict(overlay.variables), "secrets": sorted(overlay.secrets)}
        files.write_file(folder / FILE, json.dumps(content).encode(), 0o600)
        yield folder
    finally:
        files.clear(folder)


def laid_over(environment: Mapping[str, str], path: str, prefix: str) -> dict[str, str]:
    """Replace variables of an environment by those of the overlay at `path`; its secrets' files begin with `prefix`.

    A name is replaced in whatever form it was there: as a variable, or as the file of a secret.

    Raises: OSError, ValueError.
    """
    content = json.loads(Path(path).read_bytes())
    replaced = {*content["variables"], *content["secrets"]}
    gone = {*replaced, *(f"{name}_FILE" for name in replaced)}
    kept = {name: value for name, value in environment.items() if name not in gone}
    return {**kept, **content["variables"], **{f"{name}_FILE": f"{prefix}{name}" for name in content["secrets"]}}
