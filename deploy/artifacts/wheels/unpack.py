"""A wheel as it lies in a release: unpacked, compiled, every file hashed; done once per wheel and kept."""

import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name

from deploy.artifacts.cache import Cache, CacheError, code_of, key
from deploy.artifacts.files import File, digest, intact
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels.wheelhouse import Wheel

# What dependencies bring and no server reads: their tests (some as a package `tests` that belongs to nobody) and
# headers. Bytecode is left out by installer itself, and compiled here.
UNREAD = ("tests/*", "*/tests/*", "*.h", "*.hpp")
_KIND = "unpacked"
_CODE = ("unpack.py", "destination.py", "../files.py", "scripts.py", "compile_bytecode.py")
_MADE_BY = tuple(Path(__file__).parent / name for name in _CODE)


@dataclass(frozen=True)
class Unpacked:
    """A wheel's part of a release."""

    folder: Path
    name: str
    version: str
    requires: tuple[str, ...]
    requires_python: str | None
    wheel: str  # its file name
    sha256: str
    summary: str
    licences: dict[str, list[str]]  # as the wheel says it: License-Expression, License, License :: classifiers
    failed: dict[str, str]  # modules that don't compile: the reason
    files: tuple[File, ...]


def unpack_all(
    dependencies: list[Wheel], app: Wheel, interpreter: Interpreter, cache: Cache, exclude: tuple[str, ...] = ()
) -> list[Unpacked]:
    """Unpack wheels, several at once: most of the work is in processes of their own. The app's is the last."""
    unread = (*exclude, *UNREAD)
    jobs = [*((wheel, unread) for wheel in dependencies), (app, ())]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda job: unpack(job[0], interpreter, cache, job[1]), jobs))


def unpack(wheel: Wheel, interpreter: Interpreter, cache: Cache, exclude: tuple[str, ...] = ()) -> Unpacked:
    """Answer the unpacked wheel: from the cache if nobody wrote to it, or made now."""
    made_of = key(wheel.sha256, interpreter.minor, interpreter.magic, code_of(*_MADE_BY), *exclude)
    if (entry := cache.entry(_KIND, made_of)) is not None:
        found = _read(entry)
        if found is not None and intact(found.folder, found.files):
            return found
        cache.drop(_KIND, made_of)
    with cache.adding(_KIND, made_of) as folder:
        _make(wheel, interpreter, folder, exclude)
    made = _read(cache.root / _KIND / made_of)
    if made is None:
        raise CacheError(f"{cache.root / _KIND / made_of}: just written, and not readable")
    return made


def _read(entry: Path) -> Unpacked | None:
    try:
        record = json.loads((entry / "record.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    files = tuple(File(*row) for row in record.pop("files"))
    requires = tuple(record.pop("requires"))
    return Unpacked(folder=entry / "files", files=files, requires=requires, **record)


def _make(wheel: Wheel, interpreter: Interpreter, into: Path, exclude: tuple[str, ...]) -> None:
    """Unpack a wheel with PyPA's installer."""
    # Only here: a warm build needs neither these imports nor their work.
    import installer
    from installer.sources import WheelFile

    from deploy.artifacts.wheels.destination import ReleaseDestination, UnpackError

    if digest(wheel.path) != wheel.sha256:
        raise UnpackError(
            f"{wheel.path.name}: the copy in the cache was altered: expected sha256 {wheel.sha256}",
            hint=f"rm -r {wheel.path.parent}",
        )
    destination = ReleaseDestination(into / "files", interpreter, exclude)
    try:
        with WheelFile.open(wheel.path) as source:
            # The names only: the lock's hash vouches for the bytes, and reading them once more doubles the work.
            source.validate_record(validate_contents=False)
            installer.install(source, destination, {"INSTALLER": b"slipway\n"})
            metadata = HeaderParser().parsestr(source.read_dist_info("METADATA"))
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UnpackError(f"{wheel.path.name}: not a sound wheel: {error}") from None
    record = {
        "name": str(canonicalize_name(metadata["Name"])),
        "version": metadata["Version"],
        "requires": metadata.get_all("Requires-Dist", []),
        "requires_python": metadata["Requires-Python"],
        "wheel": wheel.path.name,
        "sha256": wheel.sha256,
        "summary": metadata["Summary"] or "",
        "licences": {
            "expression": metadata.get_all("License-Expression", []),
            "text": metadata.get_all("License", []),
            "classifiers": [each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")],
        },
        "failed": destination.failed,
        "files": sorted(destination.files.values()),
    }
    (into / "record.json").write_text(json.dumps(record))
