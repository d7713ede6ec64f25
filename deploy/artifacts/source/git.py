"""Ask git, and nothing else: no index, ref or file of the user's is ever written."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.errors import SlipwayError

_NOT_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_NAMESPACE")


class GitError(SlipwayError):
    """Git could not answer."""


@dataclass(frozen=True)
class Git:
    """A git checkout: the directory that we build, and what is set for each command."""

    root: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Answer what a git command prints; its complaint is the error."""
        done = self.try_run(*arguments, stdin=stdin)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise GitError(f"git {arguments[0]} failed in {self.root}: {said.splitlines()[0]}", hint=_hint(said))
        return done.stdout

    def text(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Answer what a git command prints, as text."""
        return self.run(*arguments, stdin=stdin).decode(errors="surrogateescape").strip()

    def names(self, *arguments: str) -> list[str]:
        """Answer the NUL-separated names that a git command prints."""
        return [os.fsdecode(name) for name in self.run(*arguments).split(b"\0") if name]

    def is_shallow(self) -> bool:
        """Say whether commits are missing here (gitrepository-layout(5): `shallow`)."""
        if (self.root / ".git").is_dir():
            return (self.root / ".git" / "shallow").exists()
        return self.text("rev-parse", "--is-shallow-repository") == "true"

    def try_run(self, *arguments: str, stdin: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
        """Run a git command that may fail."""
        # A hook sets GIT_DIR and GIT_INDEX_FILE of the repository that called it: not the one we build.
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        command = ["git", "--no-optional-locks", "--literal-pathspecs", "-c", "core.quotePath=false", *arguments]
        environ = {**inherited, "LC_ALL": "C", **self.environ}
        try:
            return subprocess.run(
                command, cwd=self.root, env=environ, input=stdin or b"", capture_output=True, check=False
            )
        except FileNotFoundError:
            raise GitError(
                f"{self.root} is a git checkout, but the program git is missing", hint="apt-get install git"
            ) from None


def _hint(said: str) -> str | None:
    """Pick git's own advice out of its complaint."""
    advice = [line.strip() for line in said.splitlines() if line.strip().startswith("git ")]
    return advice[0] if advice else None
