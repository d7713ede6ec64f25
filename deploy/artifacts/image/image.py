"""The image of a release: a base, the dependencies, the app."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.files import write
from deploy.artifacts.image import archive, config, engine
from deploy.artifacts.image import base as bases
from deploy.artifacts.image.base import Base
from deploy.artifacts.image.layers import split
from deploy.artifacts.output import writing
from deploy.artifacts.release import build_release
from deploy.artifacts.source import opened
from deploy.artifacts.source.beside import IMAGE, beside
from deploy.contract import Contract

ID = ".id"  # beside the archive, in the place of `.tar`: the id alone, for whoever vouches for the image
_MADE_BY = tuple(sorted(Path(__file__).parent.glob("*.py")))


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
    with opened(source, ref) as state, beside(state, ref) as own, writing(out):
        files, mark = own.templates / "image", own.mark(*IMAGE)
        reference = config.reference(release.manifest.data, mark)
        made_by = sorted(path for path in files.iterdir() if path.suffix in (".in", ".py"))
        wanted = key(code_of(*top), base.digest, base.name, code_of(*_MADE_BY, *made_by), repr(contract), mark)
        built = archive.made_of(path) != wanted
        if built:
            _write(path, mark, contract, release, base, files, wanted)
    identity, layers = archive.read(path)
    write(path.parent, path.with_suffix(ID).name, f"{identity}\n".encode())
    return Image(path, reference, release.version, identity, tuple(layers), built, time.monotonic() - started)


def _write(
    path: Path, mark: str, contract: Contract, release: ReleaseTree, base: Base, files: Path, made_of: str
) -> None:
    parts = split(release.path, files)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        ours = [archive.write_layer(part, Path(scratch, str(index))) for index, part in enumerate(parts)]
        ids = (f"sha256:{ours[0].sha256}", f"sha256:{ours[1].sha256}")
        settings = config.config(contract, release.manifest, base, ids, mark)
        aside = Path(scratch, "image.tar")
        archive.write(aside, config.reference(release.manifest.data, mark), settings, (*base.layers, *ours), made_of)
        aside.chmod(0o644)  # whatever the umask
        aside.rename(path)


def read_contract(source: Path, ref: str | None) -> Contract:
    """Read the contract of what is built."""
    with opened(source, ref) as state:
        return state.contract


@contextlib.contextmanager
def base_of(
    reference: str | None, python: str, cache: Cache, more: tuple[str, ...] = (), *, anew: bool = False
) -> Iterator[Base]:
    """Give the image that BASE names, or the base made of Debian's packages."""
    if not reference:
        yield bases.made(python, cache, more, anew=anew)
        return
    with engine.running() as client, bases.of_engine(client, reference) as base:
        yield base
