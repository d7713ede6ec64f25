"""Known vulnerabilities of what is locked: `make audit`, by PyPA's pip-audit, from whichever database can be reached.

Without one there is nothing to say, and that is what is said: an audit that could not be made is no finding.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from deploy.artifacts.wheels import lock
from deploy.errors import SlipwayError

VARIABLE = "SLIPWAY_OSV_URL"  # a database of one's own, which speaks OSV's /v1/query
_SOURCES = {"osv": "OSV", "pypi": "the package index"}  # pip-audit's names for what it knows


class Vulnerable(SlipwayError):
    """Something that is locked has a known vulnerability."""

    exit_code = 1


class AuditError(SlipwayError):
    """The audit can't be made."""


@dataclass(frozen=True)
class Audit:
    """What was asked, and what a database knows of it."""

    source: str | None  # None: no database could be reached
    packages: int
    findings: tuple[str, ...]
    unknown: tuple[str, ...]  # packages that the database does not have
    obstacles: tuple[str, ...]  # why the others could not be asked

    def lines(self) -> list[str]:
        """Say it to a person."""
        if self.source is None:
            return [f"not audited: no database of vulnerabilities can be reached ({'; '.join(self.obstacles)})"]
        asked = self.packages - len(self.unknown)
        said = [f"audited: {asked} packages, none with a vulnerability that {self.source} knows"]
        return [*said, *(f"  not audited: {name}: {self.source} does not have it" for name in self.unknown)]


def audit(root: Path, locks: Iterable[Path], ignored: Collection[str] = ()) -> Audit:
    """Ask a database about every package of some lock files.

    Raises: Vulnerable naming the lines of the locks; AuditError for a lock that is missing; LockError.
    """
    places = _places(root, locks)
    url = os.environ.get(VARIABLE)
    obstacles = []
    for source, shown in {"osv": url}.items() if url else _SOURCES.items():
        answer, said = _ask(source, url, sorted(places))
        known = [each for each in answer or () if "skip_reason" not in each]
        if not known:
            obstacles.append(f"{shown}: {said}")
            continue
        findings, seen = tuple(_findings(known, places, ignored)), {_named(each) for each in known}
        unknown = tuple(sorted(f"{name} {version}" for name, version in places if name not in seen))
        found = Audit(shown, len(places), findings, unknown, tuple(obstacles))
        if findings:
            raise Vulnerable(
                f"{'1 vulnerability' if len(findings) == 1 else f'{len(findings)} vulnerabilities'} known to {shown}",
                problems=findings,
                hint="raise the version in pyproject.toml and: make lock UPGRADE=1   "
                "(if it does no harm here: make audit IGNORE=ID)",
            )
        return found
    return Audit(None, len(places), (), (), tuple(obstacles))


def locks_of(root: Path, main: str) -> list[Path]:
    """List the lock of a project, and those that lie beside it: build tools can be vulnerable, too."""
    first = root / main
    return [first, *sorted(set(first.parent.glob("*.txt")) - {first})]


def _places(root: Path, locks: Iterable[Path]) -> dict[tuple[str, str], list[str]]:
    """Answer each locked package, and the lines where it is locked."""
    places: dict[tuple[str, str], list[str]] = {}
    for path in locks:
        shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        if not path.is_file():
            raise AuditError(f"{shown}: expected a lock file, but there is none", hint="make lock")
        for pin in lock.parse(path.read_text(encoding="utf-8"), shown):
            if pin.marker is None or pin.marker.evaluate():  # by the Python that .venv shares with the servers
                places.setdefault((pin.name, pin.version), []).append(f"{shown}:{pin.line}")
    return places


def _named(dependency: Mapping[str, Any]) -> str:
    return str(canonicalize_name(dependency["name"]))


def _ask(source: str, url: str | None, packages: Sequence[tuple[str, str]]) -> tuple[list[dict[str, Any]] | None, str]:
    """Ask one database; answer what it says of each package, or None and why not."""
    answers: list[dict[str, Any]] = []
    for each in _rounds(packages):
        answer, said = _run(source, url, each)
        if answer is None:
            return None, said
        answers += answer
    return answers, "has none of these packages"


def _rounds(packages: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Divide packages so that none is twice in a round: two locks may have two versions, and pip-audit takes one."""
    rounds: list[dict[str, str]] = []
    for name, version in packages:
        free = next((each for each in rounds if name not in each), None)
        if free is None:
            rounds.append(free := {})
        free[name] = version
    return rounds


def _run(source: str, url: str | None, packages: Mapping[str, str]) -> tuple[list[dict[str, Any]] | None, str]:
    with tempfile.TemporaryDirectory(prefix="slipway-audit-") as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
            *("--cache-dir", f"{scratch}/cache"),  # a kept answer is no answer: it may be of last month
            *("--vulnerability-service", source, *(["--osv-url", url] if url else [])),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        answer: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        if any("No module named pip_audit" in line for line in said):
            raise AuditError("pip-audit is missing", hint="make dev") from None
        return None, _reason(said[-1] if said else f"exit code {done.returncode}")
    return answer, ""


def _reason(line: str) -> str:
    """Pick the reason out of the last line of a traceback."""
    for mark in ("Temporary failure in name resolution", "Name or service not known", "Connection refused"):
        if mark in line:
            return mark.lower()
    return line[:160]


def _findings(
    known: Iterable[Mapping[str, Any]], places: Mapping[tuple[str, str], list[str]], ignored: Collection[str]
) -> Iterable[str]:
    """Say of each vulnerability where its package is locked, and which version is without it."""
    for dependency in known:
        name, version = _named(dependency), str(dependency["version"])
        for found in dependency["vulns"]:
            names = [found["id"], *sorted(found["aliases"])]
            if set(names) & set(ignored):
                continue
            fixed = f"fixed in {', '.join(found['fix_versions'])}" if found["fix_versions"] else "not fixed yet"
            about = " ".join((found.get("description") or "").split())[:100]
            where = ", ".join(places.get((name, version), ["?"]))
            yield f"{where}: {name} {version}: {' '.join(names)}: {fixed}{f': {about}' if about else ''}"
