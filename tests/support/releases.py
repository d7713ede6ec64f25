"""Releases for tests: the app's own, the kiosk's, and variants with some files changed. Built once for all workers.

They lie in `var/test-releases`: on the disk of the checkout, so that a release is hard links to the user's cache, and
from one run to the next, because what is there already costs a tenth of a second.

    base = releases.base()
    broken = releases.variant("broken-import", {"app/wsgi.py": "import nothing_like_this"})
    older = releases.variant("without-seed", {"app/cli/seed.py": None})

The kiosk (tests/support/kiosk) stands for an application where it is not about gazetteer: it boots in a
tenth of the time.

    small = releases.kiosk()
    broken = releases.kiosk("broken-import", {"kiosk/wsgi.py": "import nothing_like_this"})
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deploy.artifacts import ReleaseTree, build_release
from deploy.artifacts.cache import key
from deploy.artifacts.source import opened
from deploy.artifacts.source.export import export

ROOT = Path(__file__).parents[2]
OUT = ROOT / "var/test-releases"
KIOSK = Path(__file__).parent / "kiosk"
_KEPT = 24 * 3600  # seconds that a release of an older working tree stays
_AUTHOR = {
    **{f"GIT_{role}_NAME": "test" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "test@example.org" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_DATE": "2026-01-01T00:00:00Z" for role in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def base(out: Path = OUT) -> ReleaseTree:
    """Build the release of the working tree as it is."""
    with _locked(out):
        return build_release(ROOT, None, out)


def variant(
    name: str,
    changes: Mapping[str, str | None],
    edit: Callable[[Path], None] | None = None,
    out: Path = OUT,
) -> ReleaseTree:
    """Build the working tree with some files changed (None: deleted) as a commit of its own, in a throwaway repository.

    `edit` may change the copy in any other way. The same name and changes give the same version.
    """
    with _locked(out), opened(ROOT) as source, _repository(out, key(name, source.tree)) as repository:
        export(source, repository)
        return _built(repository, name, changes, edit, out)


def kiosk(name: str = "kiosk", changes: Mapping[str, str | None] | None = None, out: Path = OUT) -> ReleaseTree:
    """Build the kiosk, with some files changed, as a commit of its own in a throwaway repository."""
    with _locked(out), _repository(out, key("kiosk", name)) as repository:
        shutil.copytree(KIOSK, repository, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        change(repository, {"lock.txt": _locked_versions("gunicorn", "packaging")})
        return _built(repository, name, changes or {}, None, out)


@contextlib.contextmanager
def _repository(out: Path, name: str) -> Iterator[Path]:
    """Make a folder for a while."""
    repository = out / "sources" / name[:16]
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(parents=True)
    try:
        yield repository
    finally:
        shutil.rmtree(repository, ignore_errors=True)


def _built(
    repository: Path, name: str, changes: Mapping[str, str | None], edit: Callable[[Path], None] | None, out: Path
) -> ReleaseTree:
    git(repository, "init", "--quiet")
    commit(repository, "base")
    change(repository, changes)
    if edit:
        edit(repository)
    commit(repository, name)
    return build_release(repository, "HEAD", out)


def _locked_versions(*names: str) -> str:
    """Give the lines of gazetteer's lock that pin these: nothing else has to be fetched."""
    lock = (ROOT / "packaging/locks/app.txt").read_text()
    blocks = re.finditer(r"^([a-z0-9-]+)==.*\n(?:^ +.*\n)+", lock, re.MULTILINE)
    return "".join(block[0] for block in blocks if block[1] in names)


def change(repository: Path, changes: Mapping[str, str | None]) -> None:
    """Write files; None deletes one."""
    for path, text in changes.items():
        file = repository / path
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def commit(repository: Path, message: str) -> str:
    """Commit everything, by the same author at the same time, and answer the commit."""
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(repository, "rev-parse", "HEAD")


def git(repository: Path, *arguments: str) -> str:
    """Run git, away from the user's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=repository, env={**inherited, **_AUTHOR}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Let one worker build at a time: the others then find it done."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _sweep(out)
        yield


def _sweep(out: Path) -> None:
    """Forget releases that no test asked for since yesterday."""
    for path in out.glob("*-*"):
        manifest = path / "manifest.json"
        if manifest.is_file() and time.time() - manifest.stat().st_ctime > _KEPT:
            shutil.rmtree(path, ignore_errors=True)
