"""What `bench/packaging.py` compares with: PyPA's build, venv and pip, a plain spec with default macros, nfpm.

rpmvenv is not among them, for the reason below.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from deploy.artifacts.cache import Cache

PYTHON = "/usr/bin/python3.11"
ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "packaging/locks/bench.txt"
RPMVENV = (
    "rpmvenv is not compared: version 2.1.1, its last, ends with a TypeError in venvctrl's relocate when virtualenv\n"
    "is 20.0 or later. A plain spec that calls `pip install --prefix`, with default macros, stands for it."
)
SPEC = """\
Name: {name}
Version: 1
Release: 1
Summary: {name} as pip installs it
License: MIT
%description
As pip installs it.
%install
{python} -m pip install --quiet --disable-pip-version-check --no-index --find-links {wheels} --require-hashes \\
    --prefix %{{buildroot}}/opt/{name} --ignore-installed --no-warn-script-location -r {lock}
{python} -m pip install --quiet --disable-pip-version-check --no-index --no-deps \\
    --prefix %{{buildroot}}/opt/{name} --ignore-installed --no-warn-script-location {wheel}
%files
/opt/{name}
"""


class Packers:
    """The peers, installed once per lock into an environment that is kept."""

    def __init__(self, cache: Cache, scratch: Path) -> None:
        self.scratch, self.wheels = scratch, scratch / "wheels"
        key = hashlib.sha256(LOCK.read_bytes()).hexdigest()
        self.bin = cache.root / "bench" / key / "bin"
        if not (self.bin / "nfpm").exists():
            run(PYTHON, "-m", "venv", "--clear", self.bin.parent)
            run(self.bin / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", LOCK)
        self.wheels.mkdir()
        for kept in cache.root.glob("wheels-*/*/*.whl"):
            if not (self.wheels / kept.name).exists():
                (self.wheels / kept.name).symlink_to(kept)

    def versions(self) -> str:
        """Name what is compared with."""
        lines = [line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith(("build==", "nfpm=="))]
        rpm = subprocess.run(["rpmbuild", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return ", ".join([*lines, rpm])

    def build(self, checkout: Path) -> None:
        """Build the wheel as the Python packaging guide says."""
        run(self.bin / "python", "-m", "build", "--wheel", "--outdir", self.scratch / "peer", checkout)

    def install(self, lock: Path, wheel: Path) -> None:
        """Make an environment and install lock and wheel, as a script on a server does."""
        run(PYTHON, "-m", "venv", self.scratch / "venv")
        pip = [self.scratch / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        run(*pip, "--find-links", self.wheels, "--require-hashes", "-r", lock)
        run(*pip, "--no-deps", wheel)

    def spec(self, name: str, lock: Path, wheel: Path) -> None:
        """Make an rpm as a plain spec does, with nothing said of how."""
        top = self.scratch / "rpm"
        top.mkdir()
        text = SPEC.format(name=name, python=PYTHON, wheels=self.wheels, lock=lock, wheel=wheel)
        (top / "plain.spec").write_text(text)
        run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", top / "plain.spec")

    def pack(self, tree: Path, name: str, compression: str = "") -> Path:
        """Pack a release tree by nfpm, as it comes or with a compression of its own."""
        place = f"/opt/{name}/releases/{tree.name}"
        config = {
            "name": f"{name}-release",
            "arch": "amd64",
            "version": "1.0",
            "maintainer": "nobody <nobody@example.org>",
            "description": "A release tree.",
            "contents": [{"src": str(tree), "dst": place, "type": "tree"}],
            **({"rpm": {"compression": compression}} if compression else {}),
        }
        described, target = self.scratch / "nfpm.yaml", self.scratch / "nfpm.rpm"
        described.write_text(json.dumps(config))  # JSON is YAML
        run(self.bin / "nfpm", "package", "--config", described, "--packager", "rpm", "--target", target)
        return target


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
