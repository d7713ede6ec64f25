"""The rpms of a release, and the repository that dnf installs them from."""

from deploy.artifacts.rpm.packages import Package, build_rpms

__all__ = ["Package", "build_rpms"]
