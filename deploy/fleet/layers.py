"""Packages on top of the base, as one overlay layer: installed once, and there on every machine that asks for them.

A layer is kept as a disk, not as a folder: not every file system can hold one, above all not that of a container.
"""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from deploy.artifacts import cache
from deploy.fleet.base import PATH, MachineError, Say, base
from deploy.fleet.disk import Disk, make, overlay, parts, provide_loop

KIND = "machine-disks"
NSPAWN = (
    "systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --pipe --resolv-conf=copy-host"
    f" --setenv=DEBIAN_FRONTEND=noninteractive --setenv=PATH={PATH} --setenv=LANG=C.UTF-8"
)
APT = "apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o APT::Install-Recommends=false"
INSTALL = f"{APT} update && {APT} install --yes {{packages}} && {APT} clean && rm -rf /var/lib/apt/lists/*"
DOWNLOAD = f"{APT} update && {APT} install --yes --download-only {{packages}}"


def lower(say: Say, packages: tuple[str, ...] = (), cached: tuple[str, ...] = ()) -> str:
    """Give what machines lie on: the base, with `packages` installed and `cached` ones at hand for apt.

    Folders and disks, the topmost first; see Disk.mount. Made when nobody has yet: a few seconds, and the network.

    Raises: MachineError with the last words of apt.
    """
    lying = str(base(say))
    for script, names in ((INSTALL, packages), (DOWNLOAD, cached)):
        if names:
            words = " ".join(sorted(set(names)))
            made = built(say, lying, script.format(packages=words), words)
            lying = f"{Disk(made).image}:{lying}"
    return lying


def built(say: Say, lying: str, script: str, what: str) -> Path:
    """Give the folder with the disk that a script wrote over what it lies on, and `out`, which it saw as /mnt.

    Made when nobody has yet.

    Raises: MachineError.
    """
    store = cache.of_user()
    key = cache.key(lying, script)[:16]
    found = store.entry(KIND, key)
    if found:
        return found
    with (store.root / f"{KIND}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if store.entry(KIND, key) is None:
            say(f"making a layer for machines, once: {what}")
            with store.adding(KIND, key) as folder:
                _run(Disk(folder), lying, script)
    return store.root / KIND / key


def _run(disk: Disk, lying: str, script: str) -> None:
    """Run a script on an overlay, and leave only the disk that it wrote."""
    images, folders = parts(disk.folder, lying)
    out = disk.folder / "out"
    for path in (disk.mounted, disk.root, out, *images.values()):
        path.mkdir()
    make(disk.image)
    provide_loop(len(images) + 1)
    steps = [
        f"mount -o loop,noatime,nobarrier {disk.image} {disk.mounted}",
        f"mkdir {disk.mounted}/upper {disk.mounted}/work",
        *(f"mount -o loop,ro {image} {where}" for image, where in images.items()),
        " ".join(overlay(disk, folders)),
        f'{{ {NSPAWN} --bind={out}:/mnt -D {disk.root} sh -ec "$1"; code=$?; }}',
        # Now, and not some time after: what is written back later, whoever mounts it next may miss.
        f"umount {disk.root} {disk.mounted}",
        "exit $code",
    ]
    # In a mount namespace of its own: however this ends, the kernel takes the mounts away.
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", " && ".join(steps), "sh", script],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env={"PATH": PATH},
    )  # fmt: skip
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise MachineError(
            "apt could not make a layer for machines", problems=tuple(words), hint="is the mirror there?"
        )
    for path in (disk.mounted, disk.root, *images.values()):
        path.rmdir()
