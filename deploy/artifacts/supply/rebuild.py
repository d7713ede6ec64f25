"""Build the commit that a release says it is from once more, and compare: do these bytes come from that source?"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts.cache import Cache
from deploy.artifacts.manifest import NO_COMMIT
from deploy.artifacts.release import build_release
from deploy.errors import SlipwayError
from deploy.wording import count


@dataclass(frozen=True)
class Rebuilt:
    """What came of it: `problem` and `differences` are empty when the same bytes came out."""

    version: str
    commit: str
    seconds: float = 0.0
    problem: str = ""
    differences: tuple[str, ...] = ()


def rebuild(source: Path, manifest_text: str, cache: Cache | None = None) -> Rebuilt:
    """Build the commit of a manifest in a place of its own, and compare what comes out with the manifest."""
    wanted = json.loads(manifest_text)
    version, commit = str(wanted["version"]), str(wanted.get("commit") or "")
    if wanted.get("dirty") or commit in ("", NO_COMMIT):
        return Rebuilt(version, commit, problem="it was built from changes that no commit has")
    with tempfile.TemporaryDirectory(prefix="slipway-rebuild-") as folder:
        try:
            built = build_release(source, commit, Path(folder), cache)
        except SlipwayError as error:
            why = "; ".join([error.message, *error.problems[:1]])
            return Rebuilt(version, commit, problem=f"commit {commit[:12]} can't be built here: {why}")
    if built.version != version:
        problem = f"its commit {commit[:12]} is {built.version} by now: a tag was made or moved since"
        return Rebuilt(version, commit, built.seconds, problem)
    if built.manifest.text == manifest_text:
        return Rebuilt(version, commit, built.seconds)
    found = differences(wanted, built.manifest.data)
    return Rebuilt(version, commit, built.seconds, f"{count(len(found), 'difference')} to a build of its commit", found)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what differs between two manifests: files first, then anything else that they say."""
    here, there = ({file["path"]: file for file in each["files"]} for each in (one, other))
    paths = sorted(path for path in {*here, *there} if here.get(path) != there.get(path))
    found = [f"{path}: {_difference(here.get(path), there.get(path))}" for path in paths]
    found += [key for key in sorted({*one, *other} - {"files"}) if one.get(key) != other.get(key)]
    return tuple(found)


def _difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None:
        return "only in the build"
    if other is None:
        return "not in the build"
    return ", ".join(f"{key} {one.get(key)}, built {other.get(key)}" for key in one if one.get(key) != other.get(key))
