"""Builds what is shipped.

source/   what is built: a commit or the working tree, and its version
wheels/   the locked dependencies: fetched for the target, checked, unpacked
.         the app's wheel, the release tree with its manifest, the agent, what systemd needs, signatures
rpm/      packages of a release, and the repository of them
image/    the image of a release
supply/   everything of a version together: bill of materials, provenance, sums, proof
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploy.artifacts.built import ReleaseTree, find_release

if TYPE_CHECKING:
    from deploy.artifacts.cache import Cache

__all__ = ["ReleaseTree", "build_release", "find_release"]


def build_release(
    source: Path, ref: str | None = None, out: Path = Path("dist"), cache: Cache | None = None
) -> ReleaseTree:
    """Build the release of `ref`, or of the working tree as it is; what is there already is only looked at."""
    from deploy.artifacts import release  # here: who only looks for a release need not load what builds one

    return release.build_release(source, ref, out, cache)
