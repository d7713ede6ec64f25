"""The lock file: each dependency with its version and hashes, and the line where it is said."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.artifacts.interpreter import Interpreter
from deploy.errors import SlipwayError
from deploy.toml_position import loads

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_MAKE = "make lock"


class LockError(SlipwayError):
    """The lock file is missing, malformed or older than pyproject.toml."""


@dataclass(frozen=True)
class Pin:
    """One locked dependency."""

    name: str
    version: str
    hashes: frozenset[str]
    marker: Marker | None
    line: int
    text: str  # as it stands in the file, for pip


@dataclass(frozen=True)
class Lock:
    """The locked dependencies that apply to the target, by name."""

    path: str
    sha256: str
    pins: dict[str, Pin]


def parse(text: str, path: str) -> list[Pin]:
    """Read the pins of a lock file."""
    pins = []
    for line, statement in _statements(text):
        requirement, *options = re.split(r"\s+(?=--)", statement)
        try:
            parsed = Requirement(requirement)
        except InvalidRequirement:
            raise LockError(f"{path}:{line}: expected name==version, got {requirement[:60]!r}", hint=_MAKE) from None
        exact = [clause.version for clause in parsed.specifier if clause.operator == "=="]
        hashes = frozenset(_HASH.findall(" ".join(options)))
        if len(exact) != 1 or len(parsed.specifier) != 1:
            raise LockError(f"{path}:{line}: {parsed.name}: expected an exact version, got {requirement!r}", hint=_MAKE)
        if not hashes:
            raise LockError(f"{path}:{line}: {parsed.name}: expected at least one sha256 hash", hint=_MAKE)
        name = canonicalize_name(parsed.name)
        pins.append(Pin(name, exact[0], hashes, parsed.marker, line, statement))
    return pins


def _statements(text: str) -> list[tuple[int, str]]:
    """Join continued lines, and drop comments and empty ones."""
    statements: list[tuple[int, str]] = []
    start, parts = 0, list[str]()
    for number, row in enumerate(text.splitlines(), start=1):
        bare = re.sub(r"(^|\s)#.*$", "", row).strip()
        start = start if parts else number
        if bare.endswith("\\"):
            parts.append(bare[:-1].strip())
            continue
        joined = " ".join([*parts, bare]).strip()
        parts = []
        if joined:
            statements.append((start, joined))
    return statements


def for_target(pins: list[Pin], interpreter: Interpreter) -> dict[str, Pin]:
    """Keep the pins whose marker holds for the target."""
    environment = target_environment(interpreter)
    return {pin.name: pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)}


def target_environment(interpreter: Interpreter) -> dict[str, str]:
    """Answer the variables of markers for the target; the rest is the build machine's, which is the same platform."""
    environment = {name: str(value) for name, value in default_environment().items()}
    return environment | {
        "python_version": interpreter.minor,
        "python_full_version": interpreter.version,
        "implementation_name": interpreter.implementation,
        "implementation_version": interpreter.version,
        "extra": "",
    }


def check_current(pins: dict[str, Pin], pyproject: str, lock: str, interpreter: Interpreter) -> None:
    """Refuse a lock that does not have what pyproject.toml asks for."""
    document = loads(pyproject, Path("pyproject.toml"))
    environment = target_environment(interpreter)
    problems = []
    for index, text in enumerate(document.get("project", "dependencies") or []):
        requirement = Requirement(text)
        if problem := unmet(requirement, {name: pin.version for name, pin in pins.items()}, environment):
            problems.append(f"{document.where('project', 'dependencies', index)}: {text!r}: {lock} {problem}")
    if problems:
        raise LockError(f"{lock} is older than pyproject.toml", problems=tuple(problems), hint=_MAKE)


def unmet(requirement: Requirement, versions: dict[str, str], environment: dict[str, str]) -> str | None:
    """Say why the versions don't meet a requirement; None when they do or when it does not apply."""
    if requirement.marker is not None and not requirement.marker.evaluate(environment):
        return None
    version = versions.get(canonicalize_name(requirement.name))
    if version is None:
        return f"has no {requirement.name}"
    if not requirement.specifier.contains(Version(version), prereleases=True):
        return f"has {requirement.name} {version}"
    return None
