"""How long building takes: the wheel and the release tree, beside the tools a team has without Slipway.

    make bench-packaging        # or: .venv/bin/python bench/packaging.py --rounds 5

- the wheel: `python -m build --wheel` of the same checkout (PyPA's `build`, in a throwaway environment of its own,
  which isolates: it makes an environment with setuptools for each build, from pip's warm cache)
- the release tree: `python -m venv` and `pip install --require-hashes` of the same lock and wheel, from wheels on disk

Medians of one run on one machine. Quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: this file would be taken for the distribution `packaging`

from deploy import sync  # noqa: E402  (this script runs from anywhere)
from deploy.artifacts import build_release, cache, release  # noqa: E402
from deploy.artifacts.supply import archive  # noqa: E402
from deploy.artifacts.wheel import build_wheel  # noqa: E402

PYTHON = "/usr/bin/python3.11"


def main() -> int:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description="Time the building of wheel and release.")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        bench = Bench(Path(scratch))
        bench.prepare()
        rows: dict[str, list[float]] = {name: [] for name in bench.acts}
        for _ in range(options.rounds):
            for name, act in bench.acts.items():
                bench.change_a_line()
                bench.clear()
                rows[name].append(timed(act))
        report({name: statistics.median(seconds) for name, seconds in rows.items()}, rows)
        bench.sizes()
    return 0


class Bench:
    """A clone of this checkout; each build is of a line changed since the one before."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.path, self.out = scratch, scratch / "checkout", scratch / "dist"
        self.lines = 0
        self.cache = cache.of_user()
        self.acts: dict[str, Callable[[], object]] = {
            "slipway: wheel": lambda: build_wheel(self.path, None, self.out, self.cache),
            "python -m build: wheel": self.build_by_build,
            "slipway: release tree": lambda: build_release(self.path, None, self.out, self.cache),
            "venv + pip: the same": self.install_by_pip,
        }

    def prepare(self) -> None:
        """Clone, install the peer, and lay out the wheels that both sides install from."""
        run("git", "clone", "--quiet", ROOT, self.path)
        run(PYTHON, "-m", "venv", self.scratch / "build")
        run(self.scratch / "build/bin/pip", "install", "--quiet", "--disable-pip-version-check", "build")
        build_release(self.path, None, self.out, self.cache)
        wheels = self.scratch / "wheels"
        wheels.mkdir()
        for kept in self.cache.root.glob("wheels-*/*/*.whl"):
            shutil.copyfile(kept, wheels / kept.name)
        self.build_by_build()  # so that pip's cache has setuptools

    def change_a_line(self) -> None:
        """Change one line of the application."""
        self.lines += 1
        with (self.path / "app/about.py").open("a") as file:
            file.write(f"\n# Line {self.lines}.\n")

    def clear(self) -> None:
        """Remove what the round before left."""
        for name in ("dist", "peer", "venv"):
            shutil.rmtree(self.scratch / name, ignore_errors=True)
        shutil.rmtree(self.path / "build", ignore_errors=True)

    def build_by_build(self) -> None:
        """Build the wheel as the Python packaging guide says."""
        run(self.scratch / "build/bin/python", "-m", "build", "--wheel", "--outdir", self.scratch / "peer", self.path)

    def install_by_pip(self) -> None:
        """Make an environment and install lock and wheel, as a script on a server does."""
        python, lock = self.scratch / "venv/bin/python", self.path / "packaging/locks/app.txt"
        build_wheel(self.path, None, self.out, self.cache)  # counted on both sides: a release has a new wheel in it
        run(PYTHON, "-m", "venv", self.scratch / "venv")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        run(*pip, "--find-links", self.scratch / "wheels", "--require-hashes", "-r", lock)
        run(*pip, "--no-deps", *self.out.glob("*.whl"))

    def sizes(self) -> None:
        """Print what each artifact weighs, and what a changed line adds to it."""
        first = build_release(self.path, None, self.out, self.cache)
        self.change_a_line()
        second = build_release(self.path, None, self.out, self.cache)
        wheel = build_wheel(self.path, None, self.out, self.cache)[1]
        packed = archive.build(second, self.out, self.cache)
        print(f"\n{'wheel':<26} {size(wheel.stat().st_size)}")
        print(f"{'release tree':<26} {size(total(second))}")
        print(f"{'archive of it':<26} {size(packed.stat().st_size)}")
        new = changed(first, second)
        print(
            f"one changed line, by sync: {len(new)} files, {size(sum(new.values()))}, and a manifest of "
            f"{size(len(second.manifest.text))}; by archive: {size(packed.stat().st_size)}"
        )


def total(tree: release.ReleaseTree) -> int:
    """Sum the sizes of a release's files."""
    return sum(entry.get("size", 0) for entry in tree.manifest.data["files"])


def changed(first: release.ReleaseTree, second: release.ReleaseTree) -> dict[str, int]:
    """List the contents that a host with the first release lacks of the second."""
    there, wanted = (sync.contents(tree.manifest.data) for tree in (first, second))
    return {sha256: size for sha256, (_, size) in wanted.items() if sha256 not in there}


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")


def timed(act: Callable[[], object]) -> float:
    """Time a call."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def size(count: float) -> str:
    """Write a number of bytes for a person."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def report(median: dict[str, float], rows: dict[str, list[float]]) -> None:
    """Print the medians with their spread, then the ratios."""
    for name, seconds in rows.items():
        print(f"{name:<26} {median[name]:7.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")
    for ours, theirs in (
        ("slipway: wheel", "python -m build: wheel"),
        ("slipway: release tree", "venv + pip: the same"),
    ):
        print(f"{theirs} / {ours} = {median[theirs] / median[ours]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
