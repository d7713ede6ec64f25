"""Packages on top of the base, as one overlay layer: installed once, and there on every machine that asks for them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from deploy.artifacts import cache
from deploy.fleet.base import PATH, MachineError, Say, base

KIND = "machine-layers"
APT = "apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o APT::Install-Recommends=false"
INSTALL = f"{APT} update && {APT} install --yes {{packages}} && {APT} clean && rm -rf /var/lib/apt/lists/*"
DOWNLOAD = f"{APT} update && {APT} install --yes --download-only {{packages}}"


def lower(say: Say, packages: tuple[str, ...] = (), cached: tuple[str, ...] = ()) -> str:
    """Give what machines lie on: the base, with `packages` installed and `cached` ones at hand for apt.

    Folders, the topmost first, as overlayfs takes them. Made when nobody has yet: a few seconds, and the network.

    Raises: MachineError with the last words of apt.
    """
    lying = str(base(say))
    for script, names in ((INSTALL, packages), (DOWNLOAD, cached)):
        if names:
            words = " ".join(sorted(set(names)))
            lying = f"{built(say, lying, script.format(packages=words), words)}:{lying}"
    return lying


def built(say: Say, lying: str, script: str, what: str) -> Path:
    """Give the layer that a script writes over what it lies on; made when nobody has yet.

    Raises: MachineError.
    """
    store = cache.of_user()
    key = cache.key(lying, script)[:16]
    found = store.entry(KIND, key)
    if found:
        return found / "layer"
    with (store.root / f"{KIND}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if store.entry(KIND, key) is None:
            say(f"making a layer for machines, once: {what}")
            with store.adding(KIND, key) as folder:
                _run(folder, lying, script)
    return store.root / KIND / key / "layer"


def _run(folder: Path, lying: str, script: str) -> None:
    """Run a script on an overlay, and leave in `folder` only the layer that it wrote."""
    upper, work, root = (folder / name for name in ("layer", "work", "root"))
    for path in (upper, work, root):
        path.mkdir()
    # In a mount namespace of its own: however this ends, the kernel takes the mount away.
    mount = f"mount -t overlay overlay -o lowerdir={lying},upperdir={upper},workdir={work} {root}"
    nspawn = f"systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --pipe --resolv-conf=copy-host -D {root}"
    inside = ["--setenv=DEBIAN_FRONTEND=noninteractive", f"--setenv=PATH={PATH}", "--setenv=LANG=C.UTF-8"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mount} && exec {nspawn} "$@"', "sh", *inside, "sh", "-ec", script],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env={"PATH": PATH},
    )  # fmt: skip
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise MachineError(
            "apt could not make a layer for machines", problems=tuple(words), hint="is the mirror there?"
        )
    for path in (work, root):
        shutil.rmtree(path)
