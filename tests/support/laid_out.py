"""A release as it lies on a server, however it came there, beside what its manifest says."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deploy.artifacts import ReleaseTree

Files = dict[str, tuple[bool, str]]  # by path: may it be executed; sha256, or where a link leads


def expected(release: ReleaseTree) -> Files:
    """Say what has to lie there."""
    wanted: Files = {"manifest.json": (False, release.digest)}
    if release.signature:
        wanted["manifest.json.sig"] = (False, hashlib.sha256(release.signature.encode()).hexdigest())
    for entry in release.manifest.data["files"]:
        what = (False, entry["link"]) if "link" in entry else (bool(int(entry["mode"], 8) & 0o100), entry["sha256"])
        wanted[entry["path"]] = what
    return wanted


def installed(base: Path) -> Files:
    """Read what lies in a folder."""
    found: Files = {}
    for path in base.rglob("*"):
        name = path.relative_to(base).as_posix()
        if path.is_symlink():
            found[name] = (False, str(path.readlink()))
        elif path.is_file():
            found[name] = (bool(path.stat().st_mode & 0o100), hashlib.sha256(path.read_bytes()).hexdigest())
    return found
