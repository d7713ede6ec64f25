"""Builds what is shipped.

source/   what is built: a commit or the working tree, and its version
wheels/   the locked dependencies: fetched for the target, checked, unpacked
.         the app's wheel, the release tree with its manifest, the agent, what systemd needs, signatures
rpm/      packages of a release, and the repository of them
image/    the image of a release
supply/   everything of a version together: bill of materials, provenance, sums, proof
"""

from deploy.artifacts.release import ReleaseTree, build_release, find_release

__all__ = ["ReleaseTree", "build_release", "find_release"]
