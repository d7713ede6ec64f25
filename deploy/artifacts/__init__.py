"""Builds what is shipped: the wheel, the locked dependencies, the release tree and its manifest."""

from deploy.artifacts.release import ReleaseTree, build_release, find_release

__all__ = ["ReleaseTree", "build_release", "find_release"]
