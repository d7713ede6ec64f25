"""Does the same commit give the same bytes? Build it twice, as differently as this machine allows, and compare.

The second build runs in another directory, from files that were written in another order, as another user where that is
possible, with another umask, time zone, locale, hash seed and, where faketime(1) is there, more than a year later; and
with nothing in its cache but the downloaded wheels, so that all bytecode and every package is made anew.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts import cache as caches
from deploy.artifacts.source import opened
from deploy.artifacts.source.git import Git
from deploy.artifacts.supply import compare
from deploy.errors import SlipwayError

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534
_DOWNLOADED = ("wheels-", "bases")  # kinds of the cache that come from elsewhere, and are not built
_LATER = "+400d"


class NotReproducible(SlipwayError):
    """Two builds of one commit differ."""

    exit_code = 1


@dataclass(frozen=True)
class Way:
    """How one of the builds runs."""

    folder: Path
    umask: int
    environ: Mapping[str, str]
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What was compared, and how the builds differed."""

    version: str
    compared: int
    how: tuple[str, ...]
    left_out: Mapping[str, str]

    def lines(self) -> list[str]:
        """Say it to a person."""
        return [
            f"reproducible: {self.version}: {self.compared:,} files are the same in two builds",
            f"  that differed in {', '.join(self.how)}",
            *(f"  not compared: {name}: {reason}" for name, reason in self.left_out.items()),
        ]


def verify(source: Path, ref: str | None, without: Collection[str] = ()) -> Proof:
    """Build a commit twice and compare every file.

    Raises: NotReproducible naming the first file that differs; SlipwayError when a build fails.
    """
    with opened(source, ref) as state:
        if state.git is None or state.commit is None:
            raise SlipwayError(f"{source}: expected a git checkout: two builds of one commit are compared")
        git, commit, dirty = Git(state.root), state.commit, state.dirty  # not the snapshot's, which ends here
    with tempfile.TemporaryDirectory(prefix="slipway-twice-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        first, second, how = _ways(scratch)
        _checkout(git, commit, first.folder / "source")
        _copy_backwards(first.folder / "source", second.folder / "source")
        facts = [_build(first, without)]  # and whatever it has to download
        _fill_cache(second.folder / "cache/slipway")
        if "user" in how:
            _own(second.folder)
        facts.append(_build(second, without))
        return _compare(first.folder / "dist", second.folder / "dist", facts, how, dirty=dirty)


def _compare(one: Path, two: Path, facts: list[dict[str, Any]], how: list[str], *, dirty: bool) -> Proof:
    left_out = {**facts[0]["left_out"], **facts[1]["left_out"]}
    if dirty:
        left_out["uncommitted changes"] = "the commit is built"
    if difference := compare.folders(one, two):
        raise NotReproducible(
            f"not reproducible: {difference.path} differs between two builds of {facts[0]['version']}",
            problems=(*difference.lines, f"the builds differed in {', '.join(how)}"),
        )
    return Proof(facts[0]["version"], compare.count(one), tuple(how), left_out)


def _ways(scratch: Path) -> tuple[Way, Way, list[str]]:
    """Say how the builds run, and in what they differ."""
    one, two = scratch / "one", scratch / "another place" / "of the same"
    plain = {"TZ": "UTC", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    other = {
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "4711",
        "HOME": str(two / "home"),
        "XDG_CACHE_HOME": str(two / "cache"),
    }
    for folder in (one, two / "home", two / "cache"):
        folder.mkdir(parents=True)
    how = ["directory", "order of files", "umask", "time zone", "locale", "hash seed", "cache (cold)"]
    prefix: list[str] = []
    if _may_be_nobody():
        prefix += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        how.append("user")
    if faketime := shutil.which("faketime"):
        prefix += [faketime, "-f", _LATER]
        how.append("clock")
    return Way(one, 0o022, plain), Way(two, 0o077, other, tuple(prefix)), how


def _may_be_nobody() -> bool:
    """Say whether another user can run this very code: only root can become one, and it has to be readable."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable, "-B", "-c"]
    command.append("import deploy.artifacts.supply.bundle")
    tried = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    return tried.returncode == 0


def _checkout(git: Git, commit: str, to: Path) -> None:
    top = git.text("rev-parse", "--show-toplevel")
    git.run("clone", "--quiet", "--no-hardlinks", "--no-checkout", top, str(to))
    Git(to).run("checkout", "--quiet", "--detach", commit)


def _copy_backwards(source: Path, to: Path) -> None:
    """Copy a checkout, the last file first: what a build finds in a folder comes in another order then."""
    to.mkdir(parents=True)
    for path in sorted(source.iterdir(), reverse=True):
        if path.is_symlink():
            (to / path.name).symlink_to(path.readlink())
        elif path.is_dir():
            _copy_backwards(path, to / path.name)
        else:
            shutil.copyfile(path, to / path.name)
            (to / path.name).chmod(0o700 if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else 0o600)


def _fill_cache(cache: Path) -> None:
    """Give a cold cache what was downloaded, so that the second build needs no network."""
    warm = caches.of_user().root
    for kind in warm.iterdir() if warm.is_dir() else ():
        if kind.name.startswith(_DOWNLOADED):
            shutil.copytree(kind, cache / kind.name)
    stamp = cache / "swept"
    stamp.touch()
    os.utime(stamp, (2**33, 2**33))  # by a clock that is ahead, everything in it is old


def _own(folder: Path) -> None:
    for root, folders, files in os.walk(folder.parent):
        for name in [".", *folders, *files]:
            os.chown(Path(root, name), NOBODY, NOBODY, follow_symlinks=False)


def _build(way: Way, without: Collection[str]) -> dict[str, Any]:
    """Build in a process of its own."""
    command = [
        *(*way.prefix, sys.executable, "-m", "deploy.artifacts.supply", "artifacts", "--json", "--unsigned"),
        *("--source", str(way.folder / "source"), "--out", str(way.folder / "dist"), "--without", ",".join(without)),
    ]
    environ = {**os.environ, **way.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    done = subprocess.run(
        command, cwd=way.folder, env=environ, umask=way.umask, capture_output=True, text=True, check=False
    )
    try:
        fact: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SlipwayError("a build ended without a word on what it built", problems=tuple(said[-8:])) from None
    if not fact["ok"]:
        error = fact["error"]
        raise SlipwayError(error["message"], problems=tuple(error["problems"]), hint=error["hint"])
    return fact
