"""Roots that rpm and dnf install into: a shell and what scriptlets call, a database of their own, nothing else.

What a real system's packages would provide comes from one empty package. `systemctl` and its like only note that they
were called.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.rpm import openpgp, packages
from deploy.artifacts.rpm.packages import Recipe
from deploy.artifacts.rpm.repo import PUBLIC
from deploy.fleet import base
from tests.deploy.agent import kit
from tests.support.contracts import minimal
from tests.support.repository import ROOT
from tests.support.signing import end_gpg

NAME = "sample"  # of `minimal` contracts
PROGRAMS = ("/bin/dash", "/bin/rm", "/bin/rmdir", "/bin/grep")
NOTED = ("systemctl", "systemd-sysusers", "systemd-tmpfiles")
SYSTEM = """\
Name: system
Version: 1
Release: 1
Summary: What a server has
License: MIT
BuildArch: noarch
Provides: /bin/sh
Provides: /usr/bin/env
Provides: /usr/bin/python3
Provides: /usr/bin/python3.11
Provides: coreutils
Provides: grep
Provides: python(abi) = 3.11
Provides: systemd = 252
%description
Nothing.
%files
"""


def need_tools() -> None:
    """Skip without root; as root, install what is missing, one worker at a time."""
    if os.geteuid() != 0:
        pytest.skip("rpm changes its root (chroot) to install, which only root may do")
    with (Path(tempfile.gettempdir()) / "slipway-rpm-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([ROOT / "packaging/workstation.sh", "rpm-tests"], check=True)


@dataclass(frozen=True)
class Done:
    """What a program answered."""

    code: int
    out: str


@dataclass(frozen=True)
class Root:
    """A root that packages are installed into."""

    path: Path
    home: Path

    def rpm(self, *words: str | Path, expect: int | None = 0) -> Done:
        """Run rpm on the root."""
        return self._run(["rpm", "--root", self.path, *words], expect)

    def dnf(self, repository: Path, *words: str, expect: int | None = 0, key: Path | None = None) -> Done:
        """Run dnf on the root, with one repository and no other, which is described as the reference says."""
        key = key or next(repository.glob(f"{PUBLIC}*"))
        self.home.joinpath("repos").mkdir(exist_ok=True)
        self.home.joinpath("repos/slipway.repo").write_text(described(f"file://{repository}", f"file://{key}"))
        where = ["--installroot", self.path, "--releasever", "1", "--setopt", f"reposdir={self.home}/repos"]
        settings = ["--setopt", f"cachedir={self.home}/cache", "--setopt", f"logdir={self.home}"]
        settings += ["--setopt", "metadata_expire=0", "--assumeyes", "--noplugins"]
        try:
            return self._run(["dnf", *where, *settings, *words], expect)
        finally:
            end_gpg(self.home.glob("cache/*/pubring"))  # dnf's

    def calls(self) -> list[str]:
        """List what scriptlets called since the last look."""
        log = self.path / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def installed(self) -> set[str]:
        """Name the packages that are there; `gpg-pubkey` is how rpm keeps a key."""
        return set(self.rpm("-qa", "--qf", "%{NAME}\\n").out.split()) - {"system", "gpg-pubkey"}

    def write(self, place: str, text: str) -> None:
        """Write a file."""
        path = self.path / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def generation(self, name: str, number: int, version: str, *, current: bool = False) -> None:
        """Make a generation as the agent does."""
        base = self.path / "opt" / name
        (base / "generations" / str(number)).mkdir(parents=True, exist_ok=True)
        (base / "generations" / str(number) / "release").symlink_to(f"../../releases/{version}")
        if current:
            (base / "current").unlink(missing_ok=True)
            (base / "current").symlink_to(f"generations/{number}")

    def _run(self, words: list[str | Path], expect: int | None) -> Done:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        command = [str(word) for word in words]
        done = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert expect in (None, done.returncode), f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return Done(done.returncode, done.stdout)


def described(repository: str, key: str) -> str:
    """Answer the description of a repository that the reference tells operators to write."""
    page = (ROOT / "docs/reference/rpm.md").read_text(encoding="utf-8")
    rows = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    start = next(number for number, row in enumerate(rows) if re.fullmatch(r"\[[\w-]+\]", row))
    own = {"baseurl": repository, "gpgkey": key}
    pairs = (row.partition("=") for row in rows[start + 1 : start + 6])
    return "\n".join([rows[start], *(f"{name}={own.get(name, value)}" for name, _, value in pairs)])


def signing_key(root: Path) -> Path:
    """Make a key for the packages of the project in a folder; answer where it lies."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv(openpgp.VARIABLE, f"{root}.key")
        return openpgp.make_key("shop", root, "ada@example.org")[0]


def make_root(folder: Path, system: Path) -> Root:
    """Make a root with a shell."""
    root = Root(folder / "root", folder / "home")
    root.home.mkdir(parents=True)
    # Debian's rpm has its database in the home of whoever calls; dnf has no option for it.
    (root.home / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    for program in PROGRAMS:
        _copy(Path(program), root.path)
    (root.path / "bin/sh").symlink_to("dash")
    for name in NOTED:
        root.write(f"/usr/bin/{name}", f'#!/bin/sh\necho "{name} $*" >>/calls\n')
        (root.path / "usr/bin" / name).chmod(0o755)
    root.rpm("-i", system)
    return root


@contextlib.contextmanager
def debian_root(folder: Path, system: Path) -> Iterator[Root]:
    """Give a Debian that is not booted, with its own systemd: what is done to it lies in the folder."""
    for name in ("root", "home", "upper", "work"):
        (folder / name).mkdir(parents=True)
    layers = f"lowerdir={base.base(print)},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, folder / "root"], check=True)
    try:
        subprocess.run(["mount", "-t", "proc", "proc", folder / "root/proc"], check=True)  # systemd-tmpfiles reads it
        root = Root(folder / "root", folder / "home")
        (root.home / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
        root.rpm("-i", system)
        yield root
    finally:
        subprocess.run(["umount", "--recursive", folder / "root"], check=True)


def make_system(folder: Path, more: Iterable[str] = ()) -> Path:
    """Build the package that provides what a server has."""
    provides = "".join(f"Provides: {name}\n" for name in sorted(more))
    return _package(folder, SYSTEM.replace("%description", f"{provides}%description"))


def make_package(folder: Path, name: str, epoch: int) -> Path:
    """Build a package with nothing in it, dated as asked."""
    path = _package(folder, re.sub(r"^Provides: .*\n", "", SYSTEM, flags=re.M).replace("Name: system", f"Name: {name}"))
    os.utime(path, (epoch, epoch))
    return path


def _package(folder: Path, text: str) -> Path:
    spec = folder / "package.spec"
    spec.write_text(text)
    command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", spec]
    subprocess.run(command, check=True, capture_output=True)
    return next((folder / "RPMS").rglob("*.rpm"))  # beside it there may be others


def of_release(
    release: kit.Release, out: Path, change: Callable[[Recipe], Recipe] = lambda recipe: recipe
) -> ReleaseTree:
    """Write a release of the agent's tests into a folder, its tree and its rpm, as `make rpm` would."""
    made = write_tree(release, out)
    packages.make(change(packages.release_recipe(minimal(), made)), out, Cache(out / "cache"))
    return made


def write_tree(release: kit.Release, out: Path) -> ReleaseTree:
    """Write a release of the agent's tests into a folder, as `make release` would."""
    text = release.text
    tree = out / f"{NAME}-{release.version}"
    for path, data in {**release.files, "manifest.json": text.encode()}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    (tree / "bin").mkdir(exist_ok=True)
    (tree / "bin/python").symlink_to(kit.INTERPRETER)
    return ReleaseTree(tree, release.version, release.digest, Manifest(text, json.loads(text)))


def _copy(program: Path, root: Path) -> None:
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *map(Path, re.findall(r"(/\S+) \(", libraries))):
        target = root / str(path).lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
