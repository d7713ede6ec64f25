"""The programs that make packages: found, run with nobody's settings, and named when they are missing."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.artifacts.units import TEMPLATES
from deploy.errors import SlipwayError

ELFDEPS = "/usr/lib/rpm/elfdeps"  # rpm's own place for it, on Debian and Fedora alike
PACKAGES = {  # Debian, Fedora
    "rpmbuild": ("rpm", "rpm-build"),
    "createrepo_c": ("createrepo-c", "createrepo_c"),
    "rpmsign": ("rpm", "rpm-sign"),
    "gpg": ("gpg gpg-agent", "gnupg2"),
}


class RpmError(SlipwayError):
    """A package can't be made."""


def require(program: str) -> None:
    """Refuse to begin without a program, and say which package brings it."""
    if shutil.which(program) is None:
        debian, fedora = PACKAGES[program]
        raise RpmError(
            f"{program} is missing on this machine",
            hint=f"apt-get install {debian}   (Fedora, RHEL: dnf install {fedora}); as root, make does it",
        )


def run(command: Sequence[str | Path], home: Path, **environ: str) -> str:
    """Run a program away from the user's macros, locale and clock; answer what it says."""
    words = [str(word) for word in command]
    magic = str(TEMPLATES / "rpm/magic")
    own = {
        "MAGIC": magic,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        **environ,
    }
    done = subprocess.run(
        words, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=home, check=False
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        told = [line for line in lines if "error:" in line.lower()] or lines
        raise RpmError(f"{words[0]} failed with exit code {done.returncode}", problems=tuple(told[-8:]))
    return done.stdout


def version(program: str) -> str:
    """Answer what a program says of its version."""
    return run([program, "--version"], Path("/"))
