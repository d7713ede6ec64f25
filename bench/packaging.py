"""How long building takes, beside the tools a team has without Slipway; what it weighs, and what a changed line costs.

    make bench-packaging        # or: .venv/bin/python bench/packaging.py --rounds 5

Each round changes one line of the application, and then lets each side build it:

- the wheel, beside `python -m build --wheel` (isolated, as it does by itself: from pip's warm cache)
- the release tree, beside `python -m venv` and `pip install --require-hashes` of the same lock, from wheels on disk
- the packages, from the changed line on, beside a plain spec that calls `pip install --prefix`, with default macros
- the package of a tree that lies there, beside nfpm packing that tree, with its own compression and with one as good

Medians of one run on one machine, by the clock and by the processor. Quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: this file would be taken for the distribution `packaging`

from bench.packers import RPMVENV, Packers, run  # noqa: E402  (this script runs from anywhere)
from deploy import contract, sync  # noqa: E402
from deploy.artifacts import ReleaseTree, build_release, cache, image  # noqa: E402
from deploy.artifacts.image.image import Image  # noqa: E402
from deploy.artifacts.rpm import build_rpms, packages  # noqa: E402
from deploy.artifacts.supply import archive  # noqa: E402
from deploy.artifacts.wheel import build_wheel  # noqa: E402

GOALS = (  # ours, theirs, how it is said, what is wanted of it
    ("wheel", "python -m build --wheel", "theirs / ours", 3.0),
    ("release tree", "venv + pip", "theirs / ours", 5.0),
    ("packages", "plain spec with pip", "theirs / ours", 5.0),
    ("package of a tree", "nfpm", "ours / theirs", 1.5),
    ("package of a tree", "nfpm, zstd:7", "ours / theirs", 1.5),
)


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and those of the processor, ours and our children's."""

    clock: float
    processor: float


def main() -> int:
    """Run the rounds and print tables."""
    parser = argparse.ArgumentParser(description="Time the building of artifacts, and weigh them.")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        bench = Bench(Path(scratch))
        print(f"{options.rounds} rounds; {bench.packers.versions()}\n")
        rows: dict[str, list[Spent]] = {name: [] for name in bench.acts}
        for _ in range(options.rounds):
            for name, act in bench.acts.items():
                bench.change_a_line()
                bench.clear()
                rows[name].append(spent(act()))
        report(rows)
        print(f"\n{RPMVENV}")
        bench.sizes()
    return 0


class Bench:
    """A clone of this checkout; each build is of a line changed since the one before."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.path, self.out = scratch, scratch / "checkout", scratch / "dist"
        self.lines = 0
        self.cache = cache.of_user()
        run("git", "clone", "--quiet", ROOT, self.path)
        self.contract = contract.read(self.path)
        self.name, self.lock = self.contract.name, self.path / self.contract.lock
        self.tree()  # so that the cache has the wheels that both sides install from
        self.packers = Packers(self.cache, scratch)
        self.packers.build(self.path)  # so that pip's cache has setuptools
        # Each gives what is timed; what it does before that is not.
        self.acts: dict[str, Callable[[], Callable[[], object]]] = {
            "wheel": lambda: self.wheel,
            "python -m build --wheel": lambda: lambda: self.packers.build(self.path),
            "release tree": lambda: self.tree,
            "venv + pip": lambda: lambda: self.packers.install(self.lock, self.wheel()),
            "packages": lambda: lambda: build_rpms(self.path, None, self.out, self.cache),
            "plain spec with pip": lambda: lambda: self.packers.spec(self.name, self.lock, self.wheel()),
            "package of a tree": self.packing,
            "nfpm": self.packing_by_nfpm,
            "nfpm, zstd:7": lambda: self.packing_by_nfpm("zstd:7"),
        }

    def change_a_line(self) -> None:
        """Change one line of the application."""
        self.lines += 1
        with (self.path / "app/about.py").open("a") as file:
            file.write(f"\n# Line {self.lines}.\n")

    def clear(self) -> None:
        """Remove what the round before left."""
        for name in ("dist", "peer", "venv", "rpm", "packed"):
            shutil.rmtree(self.scratch / name, ignore_errors=True)
        shutil.rmtree(self.path / "build", ignore_errors=True)

    def wheel(self) -> Path:
        """Build our wheel; it is counted on both sides, for a release has a new one in it."""
        return build_wheel(self.path, None, self.out, self.cache)[1]

    def tree(self) -> ReleaseTree:
        """Build our release tree."""
        return build_release(self.path, None, self.out, self.cache)

    def packing(self) -> Callable[[], object]:
        """Give what makes the package of a tree that lies there, from its description on."""
        tree = self.tree()
        (self.scratch / "packed").mkdir()
        return lambda: packages.build(packages.release_recipe(self.contract, tree), self.scratch / "packed")

    def packing_by_nfpm(self, compression: str = "") -> Callable[[], object]:
        """Give what lets nfpm pack a tree that lies there."""
        tree = self.tree()
        return lambda: self.packers.pack(tree.path, self.name, compression)

    def sizes(self) -> None:
        """Print what each artifact weighs, and what a changed line costs to ship."""
        first, first_image = self.tree(), self.image()
        self.change_a_line()
        second, second_image = self.tree(), self.image()
        wheel = self.wheel().stat().st_size
        packed = archive.build(second, self.out, self.cache).stat().st_size
        rpms = [each.path.stat().st_size for each in build_rpms(self.path, None, self.out, self.cache)[1]]
        new = changed(first, second)
        sent, text = sync.length(new.values()), second.manifest.text.encode()
        layers = [size for layer in second_image.layers if layer not in first_image.layers for size in layer[1:]]
        rows = [
            ("wheel", wheel, f"{size(wheel)}: all of it"),
            ("release tree", total(second), f"{size(sent + len(text))} by sync: {len(new)} files, and the manifest"),
            ("archive of it", packed, f"{size(packed)}: all of it"),
            ("packages", sum(rpms), f"{size(sum(rpms))}: all three"),
            ("image", second_image.path.stat().st_size, f"{size(sum(layers))}: {len(layers)} layer"),
        ]
        print(f"\n{'':<16} {'size':>9}   what one changed line costs to ship")
        for name, count, cost in rows:
            print(f"{name:<16} {size(count):>9}   {cost}")
        app = self.app_layer(second_image)
        print(f"\npacked by gzip: the manifest {size(len(gzip.compress(text)))}, the image's layer {size(app)}")
        for compression in ("", "zstd:7"):
            path = self.packers.pack(second.path, self.name, compression)
            print(f"nfpm{', ' if compression else ''}{compression}: {size(path.stat().st_size)}")

    def image(self) -> Image:
        """Build the image on the base of Debian's packages."""
        with image.base_of(None, self.contract.python, self.cache) as base:
            return image.build_image(self.path, None, self.out, base, self.contract)

    def app_layer(self, made: Image) -> int:
        """Say what the layer of the app weighs when it is compressed, as registries keep it."""
        import tarfile

        with tarfile.open(made.path) as tar:
            file = tar.extractfile(f"blobs/sha256/{made.layers[-1][0]}")
            return len(gzip.compress(file.read())) if file else 0


def total(tree: ReleaseTree) -> int:
    """Sum the sizes of a release's files."""
    return sum(entry.get("size", 0) for entry in tree.manifest.data["files"])


def changed(first: ReleaseTree, second: ReleaseTree) -> dict[str, int]:
    """List the contents that a host with the first release lacks of the second."""
    there, wanted = (sync.contents(tree.manifest.data) for tree in (first, second))
    return {sha256: size for sha256, (_, size) in wanted.items() if sha256 not in there}


def spent(act: Callable[[], object]) -> Spent:
    """Time a call."""
    before, begun = processor(), time.monotonic()
    act()
    return Spent(time.monotonic() - begun, processor() - before)


def processor() -> float:
    """Say how many seconds of a processor we and our children have had."""
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in of)


def size(count: float) -> str:
    """Write a number of bytes for a person."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def report(rows: dict[str, list[Spent]]) -> None:
    """Print the medians with their spread, then the ratios and whether each is what we want."""
    clock = {name: statistics.median(each.clock for each in row) for name, row in rows.items()}
    cpu = {name: statistics.median(each.processor for each in row) for name, row in rows.items()}
    print(f"{'':<26} {'clock':>9}                        {'processor':>9}")
    for name, row in rows.items():
        spread = f"({min(each.clock for each in row):.2f} to {max(each.clock for each in row):.2f})"
        print(f"{name:<26} {clock[name]:7.2f} s   {spread:<20} {cpu[name]:7.2f} s")
    print(f"\n{'':<62} {'clock':>6} {'proc.':>6}   goal")
    for ours, theirs, said, goal in GOALS:
        both = [(times[theirs], times[ours]) for times in (clock, cpu)]
        ratios = [one / two if said == "theirs / ours" else two / one for one, two in both]
        sign = ">=" if said == "theirs / ours" else "<="
        met = ratios[0] >= goal if sign == ">=" else ratios[0] <= goal
        label = f"{theirs} / {ours}" if sign == ">=" else f"{ours} / {theirs}"
        print(f"{label:<62} {ratios[0]:6.2f} {ratios[1]:6.2f}   {sign} {goal} {'' if met else 'MISSED'}")


if __name__ == "__main__":
    sys.exit(main())
