"""The image of a release: a base, the dependencies, the app. `python -m deploy.artifacts.image` is `make image`."""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.artifacts import cache as caches
from deploy.artifacts import engine, image_archive, image_base, image_config, image_layers, image_try
from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.image_base import Base
from deploy.artifacts.output import writing
from deploy.artifacts.release import ReleaseTree, build_release
from deploy.artifacts.source import opened
from deploy.contract import Contract
from deploy.errors import Exit, SlipwayError

FILES = Path(__file__).resolve().parents[2] / "packaging/image"
_MADE_BY = tuple(sorted([*Path(__file__).parent.glob("image*.py"), *FILES.glob("*.in"), *FILES.glob("*.py")]))


@dataclass(frozen=True)
class Image:
    """An image that lies in `dist/` as an archive."""

    path: Path
    reference: str
    version: str
    identity: str
    layers: tuple[tuple[str, int], ...]  # sha256 and bytes: those of the base, then dependencies, then app
    built: bool
    seconds: float

    def sizes(self) -> dict[str, int]:
        """Say what each part of the image has in bytes."""
        *base, dependencies, app = [size for _, size in self.layers]
        return {"base": sum(base), "dependencies": dependencies, "app": app}


def build_image(
    source: Path, ref: str | None, out: Path, base: Base, contract: Contract, release: ReleaseTree | None = None
) -> Image:
    """Write the archive of an image into `out`, unless it is there already."""
    started = time.monotonic()
    release = release or build_release(source, ref, out)
    path = out.resolve() / f"{release.path.name}.image.tar"
    top = sorted(path for path in release.path.iterdir() if path.is_file())  # the manifest names all that lies deeper
    wanted = key(code_of(*top), base.digest, base.name, code_of(*_MADE_BY), repr(contract))
    reference = image_config.reference(release.manifest.data)
    with writing(out):
        built = image_archive.made_of(path) != wanted
        if built:
            _write(path, reference, contract, release, base, wanted)
    identity, layers = image_archive.read(path)
    return Image(path, reference, release.version, identity, tuple(layers), built, time.monotonic() - started)


def _write(path: Path, reference: str, contract: Contract, release: ReleaseTree, base: Base, made_of: str) -> None:
    parts = image_layers.split(release.path, FILES)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        ours = [image_archive.write_layer(part, Path(scratch, str(index))) for index, part in enumerate(parts)]
        ids = (f"sha256:{ours[0].sha256}", f"sha256:{ours[1].sha256}")
        config = image_config.config(contract, release.manifest, base, ids)
        aside = Path(scratch, "image.tar")
        image_archive.write(aside, reference, config, (*base.layers, *ours), made_of)
        aside.chmod(0o644)  # whatever the umask
        aside.rename(path)


def read_contract(source: Path, ref: str | None) -> Contract:
    """Read the contract of what is built."""
    with opened(source, ref) as state:
        return state.contract


@contextlib.contextmanager
def base_of(reference: str | None, python: str, cache: Cache, *, anew: bool = False) -> Iterator[Base]:
    """Give the image that BASE names, or the base made of Debian's packages."""
    if not reference:
        yield image_base.made(python, cache, anew=anew)
        return
    with engine.running() as client, image_base.of_engine(client, reference) as base:
        yield base


def main(arguments: list[str] | None = None) -> int:
    """Build the image, try it if an engine can be had, and say what was built."""
    options = _parser().parse_args(arguments)
    try:
        contract = read_contract(options.source, options.ref)
        release = build_release(options.source, options.ref, options.out)
        with base_of(options.base, contract.python, caches.of_user(), anew=options.new_base) as base:
            made = build_image(options.source, options.ref, options.out, base, contract, release)
            tried = _tried(made, contract, base) if made.built else None
    except SlipwayError as error:
        print(f"slipway: {error.report()}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    fact = _fact(made, tried)
    print(json.dumps({"ok": True, **fact}) if options.json else _lines(fact))  # noqa: T201
    return int(Exit.OK)


def _tried(made: Image, contract: Contract, base: Base) -> str:
    """Try what was built; an image that does not start is no artifact."""
    try:
        return image_try.try_out(made.path, made.reference, contract, base)
    except SlipwayError:
        made.path.unlink(missing_ok=True)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.artifacts.image", description="Build the image.")
    parser.add_argument("--ref", help="commit, tag or branch to build (default: the working tree as it is)")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder to write to (default: dist)")
    parser.add_argument("--source", type=Path, default=Path(), help="checkout to build from (default: this folder)")
    parser.add_argument("--base", help="image to build on (default: made of Debian's packages)")
    parser.add_argument("--new-base", action="store_true", help="make the base anew, with today's packages")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _fact(made: Image, tried: str | None) -> dict[str, Any]:
    return {
        "artifact": "image",
        "version": made.version,
        "path": str(made.path.relative_to(Path.cwd()) if made.path.is_relative_to(Path.cwd()) else made.path),
        "reference": made.reference,
        "id": made.identity,
        "layers": made.sizes(),
        "bytes": made.path.stat().st_size,
        "built": made.built,
        "tried": tried,
        "seconds": round(made.seconds, 2),
    }


def _lines(fact: dict[str, Any]) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in fact["layers"].items())
    done = "" if fact["built"] else "already there, "
    lines = [
        f"image    {fact['version']}",
        f"  {fact['path']}",
        f"  {done}{fact['reference']}, {sizes}, id {fact['id'][7:19]}, {fact['seconds']:.2f} s",
    ]
    return "\n".join([*lines, *([f"  {fact['tried']}"] if fact["tried"] else [])])


if __name__ == "__main__":
    sys.exit(main())
