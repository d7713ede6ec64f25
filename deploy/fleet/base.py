"""What machines are made of: the programs this computer needs, and the file system that all machines share."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.artifacts import cache
from deploy.errors import SlipwayError

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates", "curl", "dbus", "iproute2", "openssh-server", "procps", "python3", "sudo", "systemd",
    "systemd-sysv",
)  # fmt: skip
# Each machine gets a host key and an identity of its own: two that share one are one to ssh and to the journal.
HOOKS = ('rm -f "$1"/etc/ssh/ssh_host_*', ': > "$1"/etc/machine-id', 'rm -f "$1"/etc/hostname')
PROGRAMS = {
    "systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nft": "nftables", "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs", "ssh-keygen": "openssh-client",
}  # fmt: skip
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
KIND = "machine-bases"
INOTIFY = 8192

Say = Callable[[str], None]


class MachineError(SlipwayError):
    """A machine can't be made, booted or reached."""


def obstacle() -> str | None:
    """Tell why no machine can ever run on this computer; None when one can, once the packages are there."""
    if os.geteuid() != 0:
        return "machines need root: they have their own mounts, network and processes"
    # CAP_SYS_ADMIN and CAP_NET_ADMIN are what an ordinary container lacks; trying says more than reading the sets.
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return f"this computer gives no namespaces (a container without privileges?): {done.stderr.strip()}"
    return None


def require() -> None:
    """See that machines can run here.

    Raises: MachineError, saying what is in the way.
    """
    reason = obstacle()
    if reason:
        raise MachineError(reason, hint="run as root, on a machine of its own or in a privileged container")
    lacking = missing()
    if lacking:
        raise MachineError(
            f"machines need {', '.join(lacking)}",
            hint=f"packaging/workstation.sh machines (or apt-get install {' '.join(lacking)})",
        )


def missing(path: str = PATH) -> list[str]:
    """Name the packages whose programs are not there."""
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)})


def make_room() -> None:
    """Let this computer hold many machines.

    Each takes about eight inotify instances, and 128 are usual: without one, systemd hangs when it boots, and says
    nothing (measured with the 17th machine). nspawn derives the addresses of cables from this computer's own machine
    id, which images of containers lack.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text(encoding="ascii")) < INOTIFY:
        limit.write_text(f"{INOTIFY}\n", encoding="ascii")
    identity = Path("/etc/machine-id")
    if not identity.exists() or not identity.read_text(encoding="ascii").strip():
        subprocess.run(["systemd-machine-id-setup"], capture_output=True, check=False, env={"PATH": PATH})


def base(say: Say, packages: tuple[str, ...] = PACKAGES) -> Path:
    """Give the file system that machines are overlays of; make it when nobody has yet (half a minute).

    Raises: MachineError with the last words of mmdebstrap.
    """
    store = cache.of_user()
    key = cache.key(SUITE, *sorted(packages), *HOOKS)[:16]
    found = store.entry(KIND, key)
    if found:
        return found / "root"
    store.root.mkdir(parents=True, exist_ok=True)
    with (store.root / f"{KIND}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two would take twice as long, and twice the network
        found = store.entry(KIND, key)
        if found is None:
            say(f"making the base of the machines: {SUITE}, {len(packages)} packages, once (about half a minute)")
            with store.adding(KIND, key) as folder:
                _bootstrap(folder / "root", packages)
            found = store.root / KIND / key
    return found / "root"


def _bootstrap(root: Path, packages: tuple[str, ...]) -> None:
    hooks = [f"--customize-hook={hook}" for hook in HOOKS]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(sorted(packages))}", *hooks]
    done = subprocess.run(
        [*command, "--format=directory", SUITE, str(root)],
        capture_output=True, text=True, check=False, env={"PATH": PATH, "LANG": "C.UTF-8"},
    )  # fmt: skip
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-8:]
        raise MachineError("mmdebstrap could not make the base", problems=tuple(words), hint="is the mirror reachable?")
