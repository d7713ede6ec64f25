"""What an image stands on: an image that an engine has, or Debian's essential packages and the contract's Python.

No registry has to be reachable for the second: mmdebstrap puts it together from the Debian mirror of this machine.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deploy.artifacts.cache import Cache, key
from deploy.artifacts.files import MTIME, digest
from deploy.errors import SlipwayError

_KIND = "bases"
_SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}  # the Debian release that has this Python
_HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"
_TIME = "1980-01-01T00:00:00Z"  # of every file in it: MTIME
_UNREAD = ("doc", "man", "info", "locale", "lintian")  # folders of /usr/share that no service reads
_CLEAN = (  # says which machine made it, or when
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/cache/ldconfig '
    '"$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/var/log/*'
)


class BaseError(SlipwayError):
    """There is nothing to build the image on."""


@dataclass(frozen=True)
class Layer:
    """A layer as the engine keeps it: an uncompressed tar, known by its sha256."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Base:
    """The layers below ours, and what their image says of itself."""

    name: str
    digest: str
    layers: tuple[Layer, ...]
    config: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()


def packages(python: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """List what the base has besides Debian's essential packages; `more` is what the contract names.

    Media types and usr-is-merged, because what else could fill their place in the dependencies brings all of Perl:
    the base then has 206 MB instead of 99.
    """
    return tuple(dict.fromkeys((f"python{python}", "media-types", "usr-is-merged", *sorted(more))))


def made(python: str, cache: Cache, more: tuple[str, ...] = (), *, anew: bool = False) -> Base:
    """Answer the base made of Debian's packages: from the cache, or made now."""
    suite = _SUITES.get(python)
    if suite is None:
        raise BaseError(
            f"no Debian release has Python {python}: expected one of {', '.join(_SUITES)}",
            hint=f"make image BASE=IMAGE, with any image that has /usr/bin/python{python}",
        )
    made_of = key(suite, *packages(python, more), *_command(suite, python, Path("rootfs.tar"), more))
    if anew:
        cache.drop(_KIND, made_of)
    if (entry := cache.entry(_KIND, made_of)) is None:
        with cache.adding(_KIND, made_of) as folder:
            _make(suite, python, folder / "rootfs.tar", more)
            (folder / "sha256").write_text(digest(folder / "rootfs.tar"))
        entry = cache.root / _KIND / made_of
    sha256 = (entry / "sha256").read_text()
    history = ({"created": _TIME, "created_by": f"mmdebstrap {suite}: essential, {', '.join(packages(python, more))}"},)
    layer = Layer(entry / "rootfs.tar", sha256)
    return Base(f"debian-{suite}-python{python}", f"sha256:{sha256}", (layer,), {}, history)


def _command(suite: str, python: str, target: Path, more: tuple[str, ...] = ()) -> list[str]:
    return [
        *("mmdebstrap", "--quiet", "--variant=essential", "--format=tar"),
        f"--include={','.join(packages(python, more))}",
        f"--hook-dir={_HOOKS}",
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _UNREAD),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--customize-hook={_CLEAN}",
        *(suite, str(target)),
    ]


def _make(suite: str, python: str, target: Path, more: tuple[str, ...]) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise BaseError(
            "mmdebstrap is missing: it makes the base of the image from Debian's packages",
            hint="apt-get install mmdebstrap; or make image BASE=IMAGE",
        )
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(MTIME), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    command = [*_command(suite, python, target, more), *_sources(suite)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = tuple(line for line in done.stderr.splitlines() if line.startswith(("E:", "W:")))
        raise BaseError(f"mmdebstrap could not make Debian {suite} with Python {python}", problems=said[-6:])


def _sources(suite: str) -> list[str]:
    """List the mirrors of this machine that have the suite; none: mmdebstrap then knows Debian's own."""
    wanted = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    with contextlib.suppress(FileNotFoundError):
        asked = subprocess.run(
            ["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        rows = [line.split("|") for line in asked.stdout.splitlines()]
        ours = {(uri, name, component) for origin, uri, name, component in rows if origin == "Debian"}
        lines = [f"deb {uri} {name} {component}" for uri, name, component in sorted(ours) if name.startswith(suite)]
        return lines if any(f" {suite} main" in line for line in lines) else []
    return []


@contextlib.contextmanager
def of_engine(client: Any, reference: str) -> Iterator[Base]:
    """Give the base that an engine has, or fetches, under this name; its files live as long as the context."""
    import docker

    try:
        try:
            image = client.images.get(reference)
        except docker.errors.ImageNotFound:
            image = client.images.pull(reference)
        with tempfile.TemporaryDirectory(prefix="slipway-base-") as scratch:
            archive = Path(scratch, "base.tar")
            with archive.open("wb") as file:
                for chunk in image.save():
                    file.write(chunk)
            yield unpacked(archive, Path(scratch), reference)
    except docker.errors.APIError as error:
        raise BaseError(
            f"BASE={reference}: the engine has no such image, and can't fetch it: {error.explanation or error}",
            hint="docker load or docker pull it first; without BASE= the base is made from Debian's packages",
        ) from None


def unpacked(archive: Path, into: Path, name: str) -> Base:
    """Read the image in a `docker save`: what its manifest names, and nothing else."""
    with tarfile.open(archive) as tar:
        description = json.loads(_member(tar, "manifest.json").read())[0]
        text = _member(tar, description["Config"]).read()
        layers = []
        for index, member in enumerate(description["Layers"]):
            path = into / f"{index}.tar"
            with path.open("wb") as file:
                shutil.copyfileobj(_member(tar, member), file)
            layers.append(Layer(path, digest(path)))
    config = json.loads(text)
    if [f"sha256:{layer.sha256}" for layer in layers] != config["rootfs"]["diff_ids"]:
        raise BaseError(f"{name}: the engine saved layers that are not those of the image")
    identity = f"sha256:{hashlib.sha256(text).hexdigest()}"
    return Base(name, identity, tuple(layers), config.get("config") or {}, tuple(config.get("history") or ()))


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a member; a layer that an image has twice is a link the second time (Docker 20.10), which is followed."""
    file = tar.extractfile(name)
    if file is None:
        raise BaseError(f"{name}: expected a file in what the engine saved")
    return file
