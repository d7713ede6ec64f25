"""Facts about the machine: its Pythons, platform, disk and clock."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from pathlib import Path
from typing import Any

from deploy.agent import packages
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest

_VERSION_IN_NAME = re.compile(r"python(\d+\.\d+)\Z")


def platform() -> str:
    """Name the platform as manifests do, such as linux-x86_64."""
    return f"{sys.platform}-{os.uname().machine}"


def pythons() -> dict[str, str]:
    """Find the system's interpreters: version to path."""
    found: dict[str, str] = {}
    for folder in ("/usr/local/bin", "/usr/bin"):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        for name in sorted(names):
            match = _VERSION_IN_NAME.match(name)
            if match and os.access(f"{folder}/{name}", os.X_OK):
                found[match[1]] = f"{folder}/{name}"
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def facts(layout: Layout) -> dict[str, Any]:
    """Describe the machine."""
    place = layout.base
    while not place.exists():
        place = place.parent
    disk = os.statvfs(place)
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "pythons": pythons(),
        "platform": platform(),
        "time": time.time(),
        "disk_free": disk.f_bavail * disk.f_frsize,
        "disk_total": disk.f_blocks * disk.f_frsize,
    }


def check(manifest: Manifest, *, python: bool = True) -> None:
    """Refuse a release that was built for another kind of machine, or, with `python`, for a Python that is not here.

    With `python`, the packages of the system that it needs have to be here, too; an image brings them.

    Raises: AgentError wrong-platform, no-python, wrong-python, no-package.
    """
    wanted = manifest.raw
    if wanted["platform"] != platform():
        raise AgentError(
            "wrong-platform", f"release {manifest.version} was built for another platform",
            expected=platform(), got=wanted["platform"], hint="build the release on, or for, this platform",
        )  # fmt: skip
    if python:
        _check_python(manifest)
        if missing := packages.lacking(wanted["contract"].get("system_packages", {})):
            raise AgentError(
                "no-package", f"release {manifest.version} needs packages that are not on this host",
                expected=", ".join(missing), got="not installed",
                hint=f"fab highstate, or: {packages.install(missing)}",
            )  # fmt: skip


def _check_python(manifest: Manifest) -> None:
    wanted = manifest.raw
    interpreter, python = wanted["interpreter"], wanted["python"]
    if not os.path.isabs(interpreter) or not os.access(interpreter, os.X_OK):
        raise AgentError(
            "no-python", f"release {manifest.version} needs {interpreter}, which is not on this host",
            expected=interpreter, got=", ".join(pythons().values()) or "no Python under /usr",
            hint=f"install python{python} (Debian: apt install python{python})",
        )  # fmt: skip
    foreign = changeable(interpreter) if os.geteuid() == 0 else ""
    if foreign:
        raise AgentError(
            "no-python", f"release {manifest.version} needs {interpreter}, and others than root can change {foreign}",
            expected="a Python of the system's", got=", ".join(pythons().values()) or "no Python under /usr",
            hint="set `python` in [tool.slipway] to what the servers have, and build the release again",
        )  # fmt: skip
    version = interpreter_version(interpreter)
    if version != python:
        raise AgentError(
            "wrong-python", f"release {manifest.version} was built for Python {python}",
            expected=python, got=f"{interpreter} is Python {version}",
            hint="set `python` in [tool.slipway] to what the servers have, and build the release again",
        )  # fmt: skip


def changeable(path: str) -> str:
    """Name what others than root can change on the way to a program; empty when they can't.

    Root must not run what whoever may call the agent has put somewhere: that would make him root.
    """
    place = os.path.realpath(path)
    for each in (place, *(str(folder) for folder in Path(place).parents)):
        status = os.stat(each)
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        # In a folder such as /tmp everybody may add names, and yet change nobody else's.
        if status.st_uid != 0 or (shared and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX)):
            return each
    return ""


def interpreter_version(path: str) -> str:
    """Tell an interpreter's version, such as 3.11: from its name, else by running it."""
    match = _VERSION_IN_NAME.search(os.path.realpath(path))
    if match:
        return match[1]
    import subprocess

    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=10, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({error})"
    return done.stdout.strip() or "unknown"
