"""The wheel of an app that knows nothing of Slipway: built by its own backend, or put together from its files.

Either way it gets the release's version, and what it is built in is a scratch copy with a scratch home: nothing of
theirs is changed, and what some apps do when they are built or imported (connect, migrate, write) does not reach us.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from deploy.artifacts.cache import Cache, key
from deploy.artifacts.source import Source
from deploy.artifacts.source.version import Version
from deploy.artifacts.wheels.destination import TREE
from deploy.artifacts.wheels.reversion import pack
from deploy.contract_model import Adoption
from deploy.contract_types import is_file_of_requirements
from deploy.errors import SlipwayError

_KIND = "backends"
_ASK = """
import importlib, sys
name, _, inner = sys.argv[1].partition(":")
backend = importlib.import_module(name)
for part in inner.split(".") if inner else ():
    backend = getattr(backend, part)
print("\\nneeds\\t" + "\\t".join(getattr(backend, "get_requires_for_build_wheel", list)()))
"""
_SAID = 15  # lines of a failed command that are shown


class AdoptionError(SlipwayError):
    """An app can't be built as its slipway.toml says."""


def scratch_environment(adoption: Adoption, home: Path) -> dict[str, str]:
    """Answer the variables that an app's own commands get while it is built: none of the operator's secrets."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    own = {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **own, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **adoption.build_env}


def prepare(tree: Path, adoption: Adoption, environ: Mapping[str, str]) -> None:
    """Run what has to be run before a build, such as the bundler of a front end, in the scratch copy."""
    for command in adoption.build_before:
        try:
            done = subprocess.run(
                command, cwd=tree, env=dict(environ), capture_output=True, text=True, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise AdoptionError(f"build_before: {command[0]}: {error.strerror}", hint="install it") from None
        if done.returncode:
            raise AdoptionError(
                f"build_before: {' '.join(command)}: exit status {done.returncode}", problems=said(done, tree)
            )


def said(done: "subprocess.CompletedProcess[str]", tree: Path) -> tuple[str, ...]:
    """Answer the last lines of a command; one that said nothing is told so."""
    lines = [line.replace(f"{tree}/", "") for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return tuple(lines[-_SAID:]) or ("it said nothing",)


def backend_of(tree: Path) -> tuple[str, tuple[str, ...]]:
    """Answer the build backend of an app and what it requires."""
    path = tree / "pyproject.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if (
        not data.get("build-system")
        and not any((tree / name).is_file() for name in ("setup.py", "setup.cfg"))
        and ("project" not in data)
    ):
        raise AdoptionError(
            "the app has no build system: expected pyproject.toml, setup.py or setup.cfg",
            hint='say layout = "tree" in slipway.toml: then its files ship as they are',
        )
    system = data.get("build-system", {})
    return system.get("build-backend", "setuptools.build_meta:__legacy__"), tuple(
        system.get("requires", ["setuptools"])
    )


def tools(requires: Iterable[str], cache: Cache) -> Path | None:
    """Answer a folder with what builds the app; None when it is all here already."""
    missing = [text for text in requires if not _here(text)]
    if not missing:
        return None
    made_of = key(sys.version, *sorted(missing))
    if (entry := cache.entry(_KIND, made_of)) is None:
        with cache.adding(_KIND, made_of) as folder:
            command = [str(Path(sys.prefix) / "bin/uv"), "pip", "install", "--quiet", "--python", sys.executable]
            done = subprocess.run(
                [*command, "--target", str(folder), *missing], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise AdoptionError(
                    f"what builds the app can't be had: {', '.join(missing)}", problems=said(done, folder)
                )
        entry = cache.root / _KIND / made_of
    return entry


def ask_for_more(tree: Path, backend: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Ask the backend what it needs beside that, such as what its plugins do (PEP 517)."""
    command = [sys.executable, "-c", _ASK, backend]
    done = subprocess.run(command, cwd=tree, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise AdoptionError(f"{backend} can't say what it needs", problems=said(done, tree))
    return tuple(text for text in done.stdout.splitlines()[-1].split("\t")[1:] if text)


def _here(text: str) -> bool:
    try:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False


def wheel_of_tree(source: Source, version: Version, tree: Path, out: Path) -> Path:
    """Write a wheel that puts the app's files into `<release>/app`, from where Python imports them."""
    adoption = source.contract.adoption
    assert adoption is not None
    name = re.sub(r"[-_.]+", "_", adoption.name)
    start = f"{name}-{version.text}"
    members = [(f"{name}_tree.pth", f"../../../{TREE}\n".encode(), 0o644)]
    for path in sorted(tree.rglob("*")):
        place = path.relative_to(tree).as_posix()
        if path.is_file() and not _is_left_out(place, source.contract.slipway.exclude):
            members.append((f"{start}.data/data/{TREE}/{place}", path.read_bytes(), path.stat().st_mode))
    needs = "".join(f"Requires-Dist: {text}\n" for text in requirements(source))
    head = f"Metadata-Version: 2.1\nName: {adoption.name}\nVersion: {version.text}\n"
    members.append((f"{start}.dist-info/METADATA", f"{head}{needs}".encode(), 0o644))
    tag = "Wheel-Version: 1.0\nGenerator: slipway\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members.append((f"{start}.dist-info/WHEEL", tag.encode(), 0o644))
    made = out / f"{start}-py3-none-any.whl"
    made.write_bytes(pack(members, f"{start}.dist-info/RECORD"))
    return made


def _is_left_out(place: str, exclude: Iterable[str]) -> bool:
    """Say whether a file of the source does not ship: what begins with a dot is for tools and people."""
    parts = place.split("/")
    return any(part.startswith(".") or part == "__pycache__" for part in parts) or any(
        fnmatchcase(place, pattern) for pattern in exclude
    )


def requirements(source: Source) -> list[str]:
    """List what slipway.toml, and the files that it names, require by name."""
    adoption = source.contract.adoption
    found: list[str] = []
    for entry in adoption.requirements if adoption else ():
        if not is_file_of_requirements(entry):
            found.append(entry)
        elif entry.endswith((".txt", ".in")):
            content = source.read(entry)
            if content is None:
                raise AdoptionError(f"slipway.toml: requirements: the app has no file {entry}")
            found += _named(content.decode())
    return found


def _named(text: str) -> list[str]:
    """Answer the requirements of a file that name a distribution; what the file includes or links is the lock's."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        bare = re.split(r"\s#|\s--|^#", line.strip())[0].strip()
        try:
            if bare and not bare.startswith("-") and Requirement(bare).url is None:
                found.append(str(Requirement(bare)))
        except InvalidRequirement:
            continue
    return found
