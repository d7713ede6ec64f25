"""Releases that were built: what lies in `dist/`. It loads none of what builds them."""

import contextlib
import glob
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import manifest as manifests
from deploy.artifacts.files import File, intact
from deploy.artifacts.manifest import Manifest
from deploy.errors import SlipwayError


class ReleaseError(SlipwayError):
    """There is no such release, or it can't be built."""


@dataclass(frozen=True)
class ReleaseTree:
    """A release that lies in `dist/`."""

    path: Path
    version: str
    digest: str
    manifest: Manifest
    built: bool = False  # False: it was there already
    seconds: float = 0.0

    @property
    def signature(self) -> str | None:
        """Answer the signature of the manifest, when somebody signed it."""
        try:
            return (self.path / manifests.SIGNATURE).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None


def find_release(out: Path, version: str) -> ReleaseTree:
    """Answer the release of a version that was built before."""
    found = [path for path in out.glob(f"*-{glob.escape(version)}") if (path / manifests.FILE).is_file()]
    if not found:
        raise ReleaseError(f"no release tree for {version} in {out}/", hint="make release")
    path = found[0].resolve()
    try:
        read = manifests.parse((path / manifests.FILE).read_text(encoding="utf-8"))
        intact = read.data["version"] == version and is_whole(path, read)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise ReleaseError(f"{path}: not as it was built: a file is missing or was changed", hint="make release")
    return ReleaseTree(path, version, read.digest, read)


def is_whole(path: Path, manifest: Manifest) -> bool:
    """Say whether the manifest and every file that it names are there, with their size, mode and time."""
    entries = manifest.data["files"]
    links = [entry for entry in entries if "link" in entry]
    files = [File(e["path"], int(e["mode"], 8), e["size"], e["sha256"]) for e in entries if "link" not in e]
    files.append(File(manifests.FILE, 0o644, len(manifest.text.encode()), manifest.digest))
    with contextlib.suppress(OSError):
        return all(str((path / link["path"]).readlink()) == link["link"] for link in links) and intact(path, files)
    return False
