"""The wheel of the app: built by the project's own backend, from a clean export, the same bytes for the same commit."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from deploy.artifacts import adopted
from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.files import digest
from deploy.artifacts.output import writing
from deploy.artifacts.source import Source, opened
from deploy.artifacts.source import version as versions
from deploy.artifacts.source.export import export
from deploy.artifacts.source.version import Version
from deploy.artifacts.wheels.reversion import reversion
from deploy.artifacts.wheels.wheelhouse import Wheel
from deploy.contract_model import Adoption
from deploy.errors import SlipwayError

_BUILD = """
import importlib, os, sys
os.umask(0o022)
name, _, inner = sys.argv[1].partition(":")
backend = importlib.import_module(name)
for part in inner.split(".") if inner else ():
    backend = getattr(backend, part)
print("\\n" + backend.build_wheel(sys.argv[2]))
"""
_KIND = "apps"
_ADOPTS = tuple(Path(__file__).parent / name for name in ("adopted.py", "wheels/reversion.py", "source/export.py"))


class BuildError(SlipwayError):
    """The app's wheel could not be built."""


def build(source: Source, version: Version, cache: Cache) -> Wheel:
    """Answer the wheel of a source: from the cache, or built now."""
    data = tomllib.loads(source.pyproject)
    system = data.get("build-system", {})
    made_of = key(
        *(source.contract.name, version.text, version.tree, str(version.epoch), source.prefix, sys.version),
        *_toolchain(system.get("requires", ["setuptools"])),
        *([code_of(*_ADOPTS)] if source.contract.adoption else []),
    )
    if (entry := cache.entry(_KIND, made_of)) is None:
        with cache.adding(_KIND, made_of) as folder:
            if source.contract.adoption:
                _adopt(source, version, source.contract.adoption, folder, cache)
            else:
                _build(source, version, system.get("build-backend", "setuptools.build_meta:__legacy__"), folder)
        entry = cache.root / _KIND / made_of
    path = next(entry.glob("*.whl"))
    return Wheel(path, digest(path))


def put(wheel: Wheel, out: Path) -> tuple[Path, bool]:
    """Copy the wheel into `out`; say whether that was needed."""
    path = out / wheel.path.name
    with writing(out):
        if path.is_file() and digest(path) == wheel.sha256:
            return path, False
        scratch = out / f".{path.name}"
        scratch.write_bytes(wheel.path.read_bytes())
        scratch.chmod(0o644)
        scratch.rename(path)
        return path, True


def _build(source: Source, version: Version, backend: str, into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-wheel-") as scratch:
        tree, out = Path(scratch, "source"), Path(scratch, "wheel")
        tree.mkdir()
        out.mkdir()
        export(source, tree)
        name = _run_backend(tree, backend, out, source.contract.name, version)
        made = out / name
        expected = f"{source.contract.name.replace('-', '_')}-{version.text}-"
        if not made.name.startswith(expected):
            raise BuildError(f"the wheel is named {made.name}: expected {expected}*; is the version static?")
        shutil.move(made, into / made.name)


def _adopt(source: Source, version: Version, adoption: Adoption, into: Path, cache: Cache) -> None:
    """Build an app that knows nothing of Slipway, in a copy and with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="slipway-wheel-") as scratch:
        tree, out, home = (Path(scratch, name) for name in ("source", "wheel", "home"))
        for folder in (tree, out, home):
            folder.mkdir()
        export(source, tree)
        environ = adopted.scratch_environment(adoption, home)
        adopted.prepare(tree, adoption, environ)
        if adoption.layout == "tree":
            made = adopted.wheel_of_tree(source, version, tree, out)
        else:
            backend, requires = adopted.backend_of(tree)
            own = _path(adopted.tools(requires, cache))
            if more := adopted.ask_for_more(tree, backend, {**environ, **own}):
                own = _path(adopted.tools((*requires, *more), cache))
            made = out / _run_backend(tree, backend, out, source.contract.name, version, {**environ, **own})
            made = reversion(made, version.text)
        shutil.move(made, into / made.name)


def _path(folder: Path | None) -> dict[str, str]:
    return {"PYTHONPATH": str(folder)} if folder else {}


def _run_backend(
    tree: Path, backend: str, out: Path, name: str, version: Version, given: Mapping[str, str] | None = None
) -> str:
    """Call the backend without isolation: its tools are locked with ours, and an isolated build costs seconds."""
    environ = {item: value for item, value in os.environ.items() if not item.startswith(("SETUPTOOLS_", "DISTUTILS_"))}
    environ = dict(given) if given else environ
    environ |= {
        f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{re.sub(r'[-_.]+', '_', name).upper()}": version.text,
        "SOURCE_DATE_EPOCH": str(version.epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
    if given is None:
        environ.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", _BUILD, backend, str(out)]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise BuildError(
            f"{backend} could not build the wheel of {name} {version}",
            problems=tuple(line.replace(f"{tree}/", "") for line in said[-12:]),
        )
    return done.stdout.strip().splitlines()[-1]


def _toolchain(requirements: list[str]) -> list[str]:
    """Answer the versions of what builds: another setuptools may write other bytes."""
    found = []
    for name in sorted({re.split(r"[^\w.-]", text)[0] for text in [*requirements, "wheel", "packaging"]}):
        try:
            found.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} is missing")
    return found


def build_wheel(root: Path, ref: str | None, out: Path, cache: Cache) -> tuple[Version, Path, bool]:
    """Build the wheel of `ref`, or of the working tree, into `out`."""
    with opened(root, ref) as source:
        version = versions.of(source)
        path, made = put(build(source, version, cache), out)
        return version, path, made
