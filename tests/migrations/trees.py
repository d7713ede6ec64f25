"""Source trees, and what is run in them: each its own `app`, in a process of its own, so that two can be compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.database.revisions import Revision, read_revisions
from deploy.artifacts.source.export import unpack

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
VERSIONS = Path("app/migrations/versions")
DEV_LOCK = Path("packaging/locks/dev.txt")
SECRET_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"


class Failed(Exception):
    """Something that has to work did not; the message says what and how."""


@dataclass(frozen=True)
class Tree:
    """A folder with an `app/`, and the interpreter that has what it needs."""

    root: Path
    name: str
    python: str = sys.executable

    def revisions(self) -> list[Revision]:
        """Its migrations, oldest first."""
        return read_revisions(self.root / VERSIONS)

    def app(self, url: str, *words: str) -> str:
        """Run a command of its application on a database."""
        return self.run([self.python, "-m", "app", *words], DATABASE_URL=url)

    def script(self, name: str, *words: str) -> str:
        """Run one of the scripts beside this file with its `app`."""
        return self.run([self.python, str(HERE / name), *words], PYTHONPATH=str(self.root))

    def run(self, command: Sequence[str], **variables: str) -> str:
        """Run a program in the folder; answer what it prints. Raises Failed with what it says."""
        environ = {"PATH": os.environ["PATH"], "SECRET_KEY": SECRET_KEY, **variables}
        done = subprocess.run(command, cwd=self.root, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise Failed(f"{self.name}: {' '.join(command[1:4])}: {' '.join(said[-1:]) or f'exit {done.returncode}'}")
        return done.stdout


def git(repository: Path, *words: str) -> str:
    """Ask git; raises Failed."""
    done = subprocess.run(["git", *words], cwd=repository, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def released(repository: Path) -> list[str]:
    """Name the tags of releases, oldest first."""
    return git(repository, "tag", "--list", "v[0-9]*", "--sort=version:refname", "--merged", "HEAD").split()


def exported(repository: Path, ref: str, into: Path, *, own_tools: bool = False) -> Tree:
    """Write out what a ref has; ``own_tools`` installs its own locked dependencies where they differ from ours."""
    git(repository, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") if ref else ""
    done = subprocess.run(
        ["git", "-c", "core.autocrlf=false", "archive", "--format=tar", ref],
        cwd=repository,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"git archive {ref}: {done.stderr.decode().strip()}")
    unpack(done.stdout, into)
    return Tree(into, ref, interpreter(into) if own_tools else sys.executable)


def interpreter(root: Path) -> str:
    """Answer one with the dependencies that a tree locks: ours, if it locks the same."""
    lock = root / DEV_LOCK
    if not lock.exists() or lock.read_bytes() == (ROOT / DEV_LOCK).read_bytes():
        return sys.executable
    folder = root / ".venv"
    for words in (
        ["venv", "--quiet", "--python", sys.executable, folder],
        ["pip", "sync", "--quiet", "--require-hashes"],
    ):
        more = ["--python", folder / "bin/python", lock] if words[0] == "pip" else []
        uv = Path(sys.executable).parent / "uv"
        done = subprocess.run([uv, *words, *more], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"could not install {DEV_LOCK} of {root.name}: {done.stderr.strip().splitlines()[-1:]}")
    return str(folder / "bin/python")
