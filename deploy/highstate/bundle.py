"""Salt for servers that have none: one archive, made once of locked wheels, that runs at any path.

Servers reach no package index. What they get is Salt's modules and wrappers for the interpreter that the contract
names: 12 MB. Their bytecode is written over there, by the first import of each module.

Run as `python -m deploy.highstate.bundle`.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deploy import contract as contracts
from deploy.artifacts import cache as caches
from deploy.artifacts import interpreter
from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.files import MTIME
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import floor, lock, wheelhouse
from deploy.artifacts.wheels.wheelhouse import Wheel
from deploy.contract import Contract
from deploy.environment import ROOT
from deploy.errors import SlipwayError
from deploy.highstate import salt_wheel

LOCK = "packaging/locks/salt.txt"
PROGRAMS = ("salt", "salt-call", "salt-key", "salt-master", "salt-minion", "salt-run")
# Files of the wheels that nobody imports on a server: their tests, and what compilers and type checkers read.
EXCLUDE = ("Cryptodome/SelfTest/*", "tornado/test/*", "zmq/tests/*", "*.pyi", "*.pxd", "*.pyx", "*.h")
PRESET = 1  # of xz: 12.0 MB in 3 s; the default, 6, makes 10.2 MB in 24 s. Servers have no zstd

_KIND = "salt-bundles"
_AMONG_MODULES = re.compile(r"^[^/]+\.data/(?:purelib|platlib)/")
_CODE = (Path(__file__), Path(salt_wheel.__file__))
_WRAPPER = """\
#!{interpreter} -I
import os, sys, warnings
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        import crypt  # Salt imports it, and Python says each time that it is going
    except ImportError:
        pass
from salt.scripts import {function}
sys.exit({function}())
"""


class BundleError(SlipwayError):
    """Salt can't be packed."""


@dataclass(frozen=True)
class Bundle:
    """The archive, known by what it was made of."""

    path: Path
    key: str
    version: str  # of Salt
    built: bool = False  # False: it was there already


def build(contract: Contract, root: Path = ROOT, cache: Cache | None = None) -> Bundle:
    """Answer the bundle for the servers that the contract describes; made when it is not in the cache.

    Raises: SlipwayError when a wheel can't be had.
    """
    cache = cache or caches.of_user()
    python = floor.lower(interpreter.find(contract.interpreter, contract.python), contract.slipway.glibc)
    text = _read(root)
    pins = lock.for_target(lock.parse(text, LOCK), python)
    if "salt" not in pins:
        raise BundleError(f"{LOCK}: expected a line for salt", hint="make lock")
    target = (python.minor, python.path, python.platform, python.libc)
    made_of = key(hashlib.sha256(text.encode()).hexdigest(), *target, code_of(*_CODE))
    name, salt = made_of[:16], pins.pop("salt")
    built = cache.entry(_KIND, made_of) is None
    if built:
        wheels = [*wheelhouse.fetch(pins, LOCK, python, cache), salt_wheel.build(salt, LOCK, python, cache)]
        floor.check((each.path.name for each in wheels), python)
        with cache.adding(_KIND, made_of) as folder:
            _pack(wheels, python, folder / "bundle.tar.xz")
    return Bundle(cache.root / _KIND / made_of / "bundle.tar.xz", name, salt.version, built)


def _read(root: Path) -> str:
    try:
        return (root / LOCK).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BundleError(f"{LOCK}: expected the lock file of Salt, but there is none", hint="make lock") from None


def _pack(wheels: list[Wheel], python: Interpreter, target: Path) -> None:
    with (
        lzma.open(target, "wb", preset=PRESET) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path, content, mode in sorted([*_modules(wheels), *_wrappers(python)]):
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(content), mode, MTIME
            tar.addfile(member, io.BytesIO(content))


def _modules(wheels: list[Wheel]) -> Iterator[tuple[str, bytes, int]]:
    """Give every file that a wheel puts among modules; its programs, manuals and headers are left out."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            for name in archive.namelist():
                place = _AMONG_MODULES.sub("", name)
                inside = not place.endswith("/") and not place.partition("/")[0].endswith(".data")
                if inside and ".." not in place.split("/") and not any(fnmatchcase(place, each) for each in EXCLUDE):
                    yield f"lib/{place}", archive.read(name), 0o644


def _wrappers(python: Interpreter) -> Iterator[tuple[str, bytes, int]]:
    for program in PROGRAMS:
        function = "salt_main" if program == "salt" else program.replace("-", "_")
        text = _WRAPPER.format(interpreter=python.path, function=function)
        yield f"bin/{program}", text.encode(), 0o755


def main() -> int:
    """Make the bundle and say where it is."""
    started = time.monotonic()
    try:
        made = build(contracts.read(ROOT))
    except SlipwayError as error:
        sys.stderr.write(f"slipway: {error.report()}\n")
        return int(error.exit_code)
    said = f"{time.monotonic() - started:.1f} s" if made.built else "already there"
    size = made.path.stat().st_size / 1e6
    sys.stdout.write(f"salt-bundle  Salt {made.version}, {size:.1f} MB, {said}: {made.path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
