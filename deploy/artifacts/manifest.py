"""The manifest: all that a server knows about a release. The same commit gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.artifacts.files import File
    from deploy.artifacts.interpreter import Interpreter
    from deploy.artifacts.migrations import Migration
    from deploy.artifacts.source.version import Version
    from deploy.contract import Contract

SCHEMA = 1
FILE = "manifest.json"
SIGNATURE = f"{FILE}.sig"
NO_COMMIT = "0" * 40  # git's own way to say "none": a source tarball


@dataclass(frozen=True)
class Manifest:
    """The text of a manifest and what it says."""

    text: str
    data: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Name the release by its content."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def compose(
    contract: Contract,
    version: Version,
    interpreter: Interpreter,
    lock_sha256: str,
    distributions: Mapping[str, str],
    migrations: Iterable[Migration],
    files: Iterable[File],
    links: Mapping[str, str],
) -> Manifest:
    """Write the manifest of a release."""
    entries: list[dict[str, Any]] = [{"path": "bin/python", "link": contract.interpreter}]
    entries += ({"path": path, "link": target} for path, target in links.items())
    entries += (
        {"path": path, "mode": f"{mode:04o}", "size": size, "sha256": sha256} for path, mode, size, sha256 in files
    )
    data = {
        "schema": SCHEMA,
        "name": contract.name,
        "version": version.text,
        "commit": version.commit or NO_COMMIT,
        "dirty": version.dirty,
        "source_date_epoch": version.epoch,
        "python": contract.python,
        "platform": interpreter.platform,
        "interpreter": contract.interpreter,
        "lock_sha256": lock_sha256,
        "distributions": dict(sorted(distributions.items())),
        "contract": contract.for_manifest(),
        "migrations": [migration.for_manifest() for migration in migrations],
        "files": sorted(entries, key=lambda entry: str(entry["path"])),
    }
    return Manifest(_text(data), data)


def parse(text: str) -> Manifest:
    """Read a manifest."""
    return Manifest(text, json.loads(text))


def _text(data: Mapping[str, Any]) -> str:
    """Write JSON with one line per fact and per file, so that `diff` is of use."""
    rows = []
    for name, value in data.items():
        if isinstance(value, list) and value:
            inner = ",\n".join(f"  {json.dumps(item)}" for item in value)
            rows.append(f" {json.dumps(name)}: [\n{inner}\n ]")
        else:
            rows.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(rows) + "\n}\n"
