"""Where artifacts come from: an in-toto statement with SLSA's provenance, the same bytes for the same commit.

docs/reference/supply-chain.md explains its fields. What SLSA lets vary (the id, start and end of a run) is left out.
"""

import json
import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from deploy.artifacts import manifest
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.files import digest
from deploy.artifacts.source.version import Version
from deploy.artifacts.supply import sbom
from deploy.contract import Contract

SUFFIX = ".provenance.json"
BUILD_TYPE = "urn:slipway:build-type:release:v1"
BUILDER = "urn:slipway:builder:make"  # whoever ran `make artifacts`; a pipeline names itself by SLIPWAY_BUILDER
_TOOLS = ("installer", "packaging", "pip", "setuptools", "setuptools-scm", "wheel", "zstandard")
_SOURCES = ("source", "source code", "repository", "code")  # names of [project.urls]


def build(
    contract: Contract, version: Version, release: ReleaseTree, artifacts: Iterable[Path], out: Path, beside: str = ""
) -> Path:
    """Write the statement about artifacts of one version."""
    target = out / f"{release.path.name}{SUFFIX}"
    target.write_text(
        json.dumps(compose(contract, version, release, artifacts, beside), indent=1) + "\n", encoding="utf-8"
    )
    target.chmod(0o644)
    return target


def compose(
    contract: Contract, version: Version, release: ReleaseTree, artifacts: Iterable[Path], beside: str = ""
) -> dict[str, Any]:
    """Say what was made, from what, how and by whom; `beside` names uncommitted templates and agent."""
    bill = json.loads((release.path / sbom.FILE).read_text(encoding="utf-8"))
    subjects = {path.name: digest(path) for path in artifacts}
    subjects[f"{release.path.name}/{manifest.FILE}"] = release.digest
    state = {"commit": version.commit, "tree": version.tree, "dirty": version.dirty or bool(beside)}
    state |= {"beside": beside} if beside else {}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"name": contract.name, "version": version.text, "source": state},
                "internalParameters": {
                    "python": release.manifest.data["python"],
                    "platform": release.manifest.data["platform"],
                    "lock_sha256": release.manifest.data["lock_sha256"],
                    "tools": {name: metadata.version(name) for name in _TOOLS},
                },
                "resolvedDependencies": [_source(contract, version), *map(_wheel, bill["components"])],
            },
            "runDetails": {"builder": {"id": os.environ.get("SLIPWAY_BUILDER") or BUILDER}},
        },
    }


def _source(contract: Contract, version: Version) -> dict[str, Any]:
    """Name the source by content: the commit, or the tree when it was not committed."""
    urls = {name.lower(): url for name, url in contract.project.urls.items()}
    url = next((urls[name] for name in _SOURCES if name in urls), None)
    named = {"uri": f"git+{url}@{version.commit}" if version.commit else f"git+{url}"} if url else {}
    committed = version.commit and not version.dirty
    if committed:
        return {"name": "source", **named, "digest": {"gitCommit": version.commit}}
    kind = "gitTree" if version.commit else "sha256"  # of a source tarball: deploy.artifacts.source says of what
    return {"name": "source", "digest": {kind: version.tree}}


def _wheel(component: Mapping[str, Any]) -> dict[str, Any]:
    properties = {each["name"]: each["value"] for each in component["properties"]}
    sha256 = component["hashes"][0]["content"]
    return {"name": properties["slipway:wheel"], "uri": component["purl"], "digest": {"sha256": sha256}}
