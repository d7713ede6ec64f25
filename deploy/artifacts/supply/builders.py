"""What `make artifacts` makes beside the wheel and the release tree: a line each; add yours to BUILDERS."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import agent
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import write
from deploy.artifacts.source.beside import Beside
from deploy.artifacts.supply import archive, sbom
from deploy.contract import Contract


@dataclass(frozen=True)
class Job:
    """What all builders work on: one state of the source, its release (signed, if there is a key), and where to."""

    source: Path
    ref: str | None
    out: Path
    cache: Cache
    contract: Contract
    release: ReleaseTree
    own: Beside


@dataclass(frozen=True)
class Builder:
    """Makes one kind of artifact; `lacks` says why it can't here, and what to install."""

    name: str
    make: Callable[[Job], list[Path]]
    lacks: Callable[[], str | None] = lambda: None


def _archive(job: Job) -> list[Path]:
    return [archive.build(job.release, job.out, job.cache)]


def _agent(job: Job) -> list[Path]:
    agent.write(job.out / "releasectl", job.own.agent)
    return [job.out / "releasectl"]


def _sbom(job: Job) -> list[Path]:
    """Copy the bill out of the tree: who asks for it has not unpacked anything yet."""
    name = f"{job.release.path.name}.cdx.json"
    write(job.out, name, (job.release.path / sbom.FILE).read_bytes())
    return [job.out / name]


def _rpm(job: Job) -> list[Path]:
    from deploy.artifacts.rpm import build_rpms  # jinja2 is slow to import

    return [package.path for package in build_rpms(job.source, job.ref, job.out, job.cache)[1]]


def _image(job: Job) -> list[Path]:
    from deploy.artifacts import image

    with image.base_of(os.environ.get("BASE"), job.contract.python, job.cache) as base:
        made = image.build_image(job.source, job.ref, job.out, base, job.contract, job.release)
        return [made.path, made.path.with_suffix(".id")]


def _program(name: str, package: str) -> Callable[[], str | None]:
    """Answer what asks for a program that a package brings."""

    def lacks() -> str | None:
        return None if shutil.which(name) else f"{name} is missing (apt-get install {package})"

    return lacks


def _lacks_base() -> str | None:
    """A base is named by BASE, or made of Debian's packages."""
    return None if os.environ.get("BASE") else _program("mmdebstrap", "mmdebstrap")()


BUILDERS = (
    Builder("archive", _archive),
    Builder("agent", _agent),
    Builder("sbom", _sbom),
    Builder("rpm", _rpm, _program("rpmbuild", "rpm")),
    Builder("image", _image, _lacks_base),
)
