"""A release from a source: wheel + lock -> tree + manifest."""

import hashlib
import time
from pathlib import Path

from packaging.requirements import Requirement

from deploy.artifacts import adopted, importing, interpreter, manifest, migrations, tree, wheel
from deploy.artifacts import cache as caches
from deploy.artifacts.built import ReleaseError, ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.migrations import Migration
from deploy.artifacts.output import writing
from deploy.artifacts.source import Source, opened
from deploy.artifacts.source import version as versions
from deploy.artifacts.supply import sbom
from deploy.artifacts.wheels import floor, lock, unpack, wheelhouse
from deploy.artifacts.wheels.lock import Pin
from deploy.artifacts.wheels.unpack import Unpacked
from deploy.contract import Contract


def build_release(
    source: Path, ref: str | None = None, out: Path = Path("dist"), cache: Cache | None = None
) -> ReleaseTree:
    """Build the release of `ref`, or of the working tree as it is; what is there already is only looked at."""
    started = time.monotonic()
    cache = cache or caches.of_user()
    with opened(source, ref) as state:
        contract, version = state.contract, versions.of(state)
        python = floor.lower(interpreter.find(contract.interpreter, contract.python), contract.slipway.glibc)
        pins, lock_sha256 = _locked(state, python)
        app = wheel.build(state, version, cache)
    dependencies = wheelhouse.fetch(pins, contract.lock, python, cache, contract.slipway.from_source)
    wheels = [*dependencies, app]
    floor.check((each.path.name for each in wheels), python)
    parts = unpack.unpack_all(dependencies, app, python, cache, contract.slipway.exclude)
    _check_requirements(parts, contract, python)
    merged = tree.merge(parts)
    own = {
        "pyvenv.cfg": tree.pyvenv(python),
        sbom.FILE: sbom.compose(contract, version, python, lock_sha256, parts),
    }
    made = manifest.compose(
        contract,
        version,
        python,
        lock_sha256,
        {part.name: part.version for part in parts},
        _migrations(contract, parts[-1], python),
        tree.files_of(merged, own),
        tree.links_of(contract.slipway.links, merged),
    )
    path = out.resolve() / f"{contract.name}-{version}"
    keys = [each.sha256 for each in wheels]
    with writing(path.parent):
        present = tree.is_complete(path, made)
        if not present:
            tree.build(path, merged, own, made, check=lambda aside: importing.check(aside, contract, keys, cache))
    cache.sweep()
    return ReleaseTree(path, version.text, made.digest, made, not present, time.monotonic() - started)


def _locked(source: Source, python: Interpreter) -> tuple[dict[str, Pin], str]:
    """Read the lock; it has to be there and to have what pyproject.toml asks for."""
    name = source.contract.lock
    content = source.read(name)
    if content is None:
        raise ReleaseError(
            f"{name}: expected the lock file that [tool.slipway] names, but there is none", hint="make lock"
        )
    pins = lock.for_target(lock.parse(content.decode(), name), python)
    if source.contract.adoption is None:
        lock.check_current(pins, source.pyproject, name, python)
    else:
        _check_adopted(source, pins, python)
    return pins, hashlib.sha256(content).hexdigest()


def _check_adopted(source: Source, pins: dict[str, Pin], python: Interpreter) -> None:
    """Refuse a lock that has not what slipway.toml asks for, or nothing to serve with."""
    versions, environment = {name: pin.version for name, pin in pins.items()}, lock.target_environment(python)
    wanted = [*adopted.requirements(source), "gunicorn>=20"]
    problems = [
        f"{text!r}: {source.contract.lock} {problem}"
        for text in wanted
        if (problem := lock.unmet(Requirement(text), versions, environment))
    ]
    if problems:
        raise ReleaseError(
            f"{source.contract.lock} is older than slipway.toml", problems=tuple(problems), hint="make lock"
        )


def _check_requirements(parts: list[Unpacked], contract: Contract, python: Interpreter) -> None:
    """Refuse parts that don't fit: a requirement that no part meets, or a module of the app that is no Python."""
    if failed := parts[-1].failed:
        count = "1 module does" if len(failed) == 1 else f"{len(failed)} modules do"
        shown = tuple(text.removeprefix(f"{python.site_packages}/") for text in failed.values())
        raise ReleaseError(f"{parts[-1].name}: {count} not compile", problems=shown)
    versions_of = {part.name: part.version for part in parts}
    environment = lock.target_environment(python)
    if other := [
        f"{part.wheel}: {why}" for part in parts if (why := floor.python_problem(part.requires_python, python))
    ]:
        raise ReleaseError("not every package runs on the target", problems=tuple(other), hint="make lock")
    problems = tuple(
        f"{part.name} {part.version} needs {text}: {contract.lock} {problem}"
        for part in parts
        for text in part.requires
        if (problem := lock.unmet(Requirement(text), versions_of, environment))
    )
    if problems:
        raise ReleaseError(f"{contract.lock} lacks what its own packages need", problems=problems, hint="make lock")


def _migrations(contract: Contract, app: Unpacked, python: Interpreter) -> list[Migration]:
    """Read the migrations that ship: those in the app's wheel."""
    if contract.migrations is None:
        return []
    return migrations.read(app.folder / python.site_packages, contract.migrations.path.removeprefix("src/"))
