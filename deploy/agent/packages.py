"""Packages of the operating system that a release needs beside Python: libraries and programs that no wheel brings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

DPKG = "/var/lib/dpkg/status"
INSTALL = {"debian": "apt-get install", "redhat": "dnf install"}


def family() -> str:
    """Tell whose names of packages count here; empty where neither dpkg nor rpm looks after programs."""
    if os.path.exists(DPKG) and shutil.which("dpkg-query"):
        return "debian"
    return "redhat" if shutil.which("rpm") else ""


def lacking(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Name those of a contract's `system_packages` that are not installed here."""
    here = family()
    names = list(wanted.get(here, ()))
    if not names:
        return []
    return _of_dpkg(names) if here == "debian" else [name for name in names if not _of_rpm(name)]


def install(names: Sequence[str]) -> str:
    """Say how they are installed by hand."""
    return f"{INSTALL.get(family(), 'install')} {' '.join(names)}"


def _of_dpkg(names: Sequence[str]) -> list[str]:
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n", "--", *names]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[1] for line in said.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in installed]


def _of_rpm(name: str) -> bool:
    command = ["rpm", "--query", "--quiet", "--whatprovides", name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
