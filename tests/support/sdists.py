"""Applications that nobody here wrote: source distributions from the package index, pinned by hash, fetched once.

They are kept in the user's cache, and each test gets a copy, as a checkout with one commit: what a team has.
"""

import fcntl
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import cache as caches
from tests.support.releases import change, commit, git

CONTRACTS = Path(__file__).parent / "adopted"


@dataclass(frozen=True)
class Sdist:
    """A source distribution, and the folder in it that is the application."""

    name: str
    version: str
    sha256: str
    folder: str = "."
    environ: tuple[tuple[str, str], ...] = ()  # what pip's look at its metadata needs


FLASKR = Sdist(
    "flask", "3.1.2", "bf656c15c80190ed628ad08cdfd3aaa35beb087855e2f494910aa3774cc4fd87", "examples/tutorial"
)
IHATEMONEY = Sdist("ihatemoney", "7.2.1", "e74fc718f68e1ec400cf9c4364025a91febb86c9b523aeb33a52e5adbeaa77e1")
LOOK = Sdist(
    "falcon", "4.0.2", "58f4b9c9da4c9b1e2c9f396ad7ef897701b3c7c7c87227f0bd1aee40c7fbc525", "examples/look",
    (("FALCON_DISABLE_CYTHON", "1"),),
)  # fmt: skip


def fetch(sdist: Sdist) -> Path:
    """Answer the folder of the unpacked distribution: from the cache, or by pip, which checks the hash."""
    cache = caches.of_user()
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / "sdists.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cache.entry("sdists", sdist.sha256) is None:
            with cache.adding("sdists", sdist.sha256) as folder:
                _download(sdist, folder)
    (unpacked,) = (cache.root / "sdists" / sdist.sha256).iterdir()
    return unpacked


def checkout(sdist: Sdist, into: Path) -> Path:
    """Make a checkout of the application, with one commit."""
    shutil.copytree(fetch(sdist) / sdist.folder, into, ignore=shutil.ignore_patterns("__pycache__"))
    git(into, "init", "--quiet", "--initial-branch", "main")
    commit(into, "as it was published")
    return into


def next_version(app: Path, path: str, old: str, new: str) -> None:
    """Commit a change, as its developers would."""
    text = (app / path).read_text()
    assert old in text
    change_and_commit(app, {path: text.replace(old, new)})


def change_and_commit(app: Path, changes: Mapping[str, str]) -> None:
    """Write files, and commit them."""
    change(app, changes)
    commit(app, f"change {', '.join(changes)}")


def _download(sdist: Sdist, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{sdist.name}=={sdist.version} --hash=sha256:{sdist.sha256}\n")
        command = [
            *("env", *(f"{name}={value}" for name, value in sdist.environ), sys.executable, "-m", "pip", "download"),
            *("--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-binary=:all:"),
            *("--require-hashes", "--dest", scratch, "--requirement", str(wanted)),
        ]
        # pip builds a distribution's metadata before it lets one have it, and that may need tools of its own.
        subprocess.run([*command, "--no-build-isolation"], check=False, capture_output=True, timeout=170)
        found = list(Path(scratch).glob("*.tar.gz"))
        if not found:
            subprocess.run(command, check=True, timeout=170)
            found = list(Path(scratch).glob("*.tar.gz"))
        with tarfile.open(found[0]) as archive:
            archive.extractall(folder)  # noqa: S202 - its hash was checked
