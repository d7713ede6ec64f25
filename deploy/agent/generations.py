"""Generations: numbered pairs of a release and a snapshot of the environment variables."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deploy.agent import files, releases
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.layout import Layout
from deploy.agent.manifest import VERSION_PATTERN

NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OURS = ("HOME", "RELEASE_GENERATION", "RELEASE_VERSION")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Generation(NamedTuple):
    """What `meta.json` says of a generation, and the marks beside it."""

    number: int
    version: str
    digest: str
    env_digest: str
    created: float
    variables: Mapping[str, str]
    secrets: tuple[str, ...]
    activated: float | None
    migrated: bool
    migrated_to: str = ""  # the revision; empty: all that its release knows

    def facts(self) -> dict[str, Any]:
        """Describe the generation without its variables."""
        keys = ("number", "version", "digest", "env_digest", "created", "activated", "migrated", "migrated_to")
        return {key: getattr(self, key) for key in keys}


def env_digest(variables: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """Hash variables and secrets, so that two environments can be compared without being shown."""
    canonical = json.dumps(
        {"secrets": dict(secrets), "variables": dict(variables)}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def numbers(layout: Layout) -> list[int]:
    """List the generations that are here."""
    try:
        return sorted(int(entry.name) for entry in os.scandir(layout.generations) if entry.name.isdigit())
    except FileNotFoundError:
        return []


def load(layout: Layout, number: int) -> Generation:
    """Read a generation.

    Raises: AgentError no-generation, bad-generation.
    """
    path = layout.generation(number)
    try:
        marks = _mtime(path / "activated"), _mtime(path / "migrated") is not None, migrated_to(layout, number)
        return parse(number, (path / "meta.json").read_bytes(), *marks)
    except FileNotFoundError:
        known = ", ".join(map(str, numbers(layout))) or "none"
        raise AgentError(
            "no-generation", f"there is no generation {number} here", expected=f"one of: {known}", hint="`prepare` it"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError(
            "bad-generation", f"{path}/meta.json can't be read: {error}", hint="deploy again under the next number"
        ) from None


def parse(number: int, text: bytes, activated: float | None = None, migrated: bool = False, to: str = "") -> Generation:
    """Understand a `meta.json`.

    Raises: ValueError, KeyError, TypeError.
    """
    meta = json.loads(text)
    if not (isinstance(meta["version"], str) and VERSION_PATTERN.fullmatch(meta["version"])):
        raise ValueError("its version is none")
    if not (isinstance(meta["digest"], str) and isinstance(meta["variables"], dict)):
        raise TypeError("a value is of the wrong kind")
    return Generation(
        number, meta["version"], meta["digest"], meta["env_digest"], meta["created"], meta["variables"],
        tuple(meta["secrets"]), activated, migrated, to,
    )  # fmt: skip


def load_all(layout: Layout) -> list[Generation]:
    """Read every generation that can be read."""
    found = []
    for number in numbers(layout):
        try:
            found.append(load(layout, number))
        except AgentError:
            continue
    return found


def unreadable(layout: Layout) -> list[int]:
    """List the generations whose description is damaged: they can be neither compared nor used."""
    readable = {generation.number for generation in load_all(layout)}
    return [number for number in numbers(layout) if number not in readable]


def claimed(layout: Layout) -> dict[str, set[str]]:
    """Map each version to the digests that generations were made for."""
    found: dict[str, set[str]] = {}
    for generation in load_all(layout):
        found.setdefault(generation.version, set()).add(generation.digest)
    return found


def versions_linked(layout: Layout) -> set[str]:
    """Name the releases that generations link to, readable ones or not."""
    links = [layout.generation(number) / "release" for number in numbers(layout)]
    return {os.path.basename(os.readlink(link)) for link in links if link.is_symlink()}


def _mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def current(layout: Layout) -> int | None:
    """Tell which generation `current` names."""
    try:
        name = os.path.basename(os.readlink(layout.current))
    except (FileNotFoundError, OSError):
        return None
    return int(name) if name.isdigit() else None


def set_current(layout: Layout, number: int) -> None:
    """Point `current` at a generation."""
    if current(layout) != number:
        files.atomic_symlink(layout.current, f"generations/{number}", tmp=layout.tmp)


def mark(layout: Layout, number: int, what: str, *, again: bool = False) -> None:
    """Leave a mark, such as `activated`, whose mtime says when that was; `again`, when it was last."""
    path = layout.generation(number) / what
    if again or not path.exists():
        files.atomic_write(path, b"", tmp=layout.tmp)


def migrated_to(layout: Layout, number: int) -> str:
    """Tell up to which revision a generation brought the database; empty: to all that its release knows."""
    try:
        return (layout.generation(number) / "migrated").read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def mark_migrated(layout: Layout, number: int, revision: str) -> None:
    """Remember up to which revision a generation brought the database."""
    path = layout.generation(number) / "migrated"
    if not path.exists() or migrated_to(layout, number) != revision:
        files.atomic_write(path, f"{revision}\n".encode() if revision else b"", tmp=layout.tmp)


def mark_restored(layout: Layout, revision: str) -> list[int]:
    """Let every generation say up to which revision the database is migrated: what they brought it to is gone.

    One whose release does not know the revision is older, so all that it knows is there.
    """
    for number in numbers(layout):
        mark_migrated(layout, number, revision)
    return numbers(layout)


def processes(layout: Layout, number: int) -> list[str]:
    """Tell what of a generation this host ran when it was activated: `web`, and processes of its contract."""
    try:
        return (layout.generation(number) / "processes").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return ["web"]


def set_processes(layout: Layout, number: int, names: Sequence[str]) -> None:
    """Remember what of a generation this host runs: a boot starts the same."""
    if processes(layout, number) != list(names):
        text = " ".join(names) + "\n"
        files.atomic_write(layout.generation(number) / "processes", text.encode("ascii"), tmp=layout.tmp)


def check_environment(variables: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Refuse names that can't be environment variables, and those that the agent sets itself.

    Raises: BadRequest bad-environment, with all reasons at once and no value.
    """
    problems = []
    for name in sorted({*variables, *secrets}):
        if not NAME_PATTERN.match(name):
            problems.append(f"{name!r} can't name a variable")
        elif name in OURS:
            problems.append(f"{name} is set by the agent")
        if name in variables and name in secrets:
            problems.append(f"{name} is both variable and secret")
        if name in secrets and f"{name}_FILE" in variables:
            problems.append(f"{name}_FILE is a variable, and {name} a secret")
        if "\0" in variables.get(name, "") + secrets.get(name, ""):
            problems.append(f"{name} has a NUL in its value")
    if problems:
        raise BadRequest("bad-environment", "; ".join(problems), hint="correct the environment file")


def prepare(
    layout: Layout, number: int, version: str, digest: str, variables: Mapping[str, str], secrets: Mapping[str, str]
) -> bool:
    """Make a generation aside and rename it into place; say whether it was not there yet.

    Raises: AgentError bad-environment, no-release, tampered, generation-exists, unsigned, bad-signature, no-verifier.
    """
    check_environment(variables, secrets)
    path = layout.generation(number)
    wanted = (version, digest, env_digest(variables, secrets))
    if path.exists():
        there = load(layout, number)
        if (there.version, there.digest, there.env_digest) == wanted:
            return False
        raise AgentError(
            "generation-exists", f"generation {number} exists with other contents",
            expected=f"{version} ({digest[:12]})", got=f"{there.version} ({there.digest[:12]})",
            hint=f"use number {max(numbers(layout)) + 1}",
        )  # fmt: skip
    found = releases.load(layout, version)
    if found.digest != digest:
        raise AgentError(
            "tampered", f"release {version} has another manifest than asked for",
            expected=digest, got=found.digest, hint="`assemble` the release again",
        )  # fmt: skip
    releases.require_signed(layout, found)
    if found.contract.get("links"):
        layout.point_to_state()
    aside = files.scratch(layout.tmp, "generation")
    _write(aside, path, number, wanted, variables, secrets)
    os.rename(aside, path)
    files.fsync_directory(layout.generations)
    return True


def _write(
    aside: Path,
    path: Path,
    number: int,
    identity: tuple[str, str, str],
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
) -> None:
    version, digest, environment = identity
    aside.mkdir(mode=0o755)
    (aside / "release").symlink_to(f"../../releases/{version}")
    (aside / "credentials").mkdir(mode=0o700)
    for name, value in secrets.items():
        files.write_file(aside / "credentials" / name, value.encode(), 0o600)
    pairs = {**variables, **{f"{name}_FILE": f"{path}/credentials/{name}" for name in secrets}}
    lines = "".join(f"{name}={quote(value)}\n" for name, value in sorted(pairs.items()))
    files.write_file(aside / "env", lines.encode(), 0o600)
    meta = {
        "number": number, "version": version, "digest": digest, "env_digest": environment, "created": time.time(),
        "variables": dict(variables), "secrets": sorted(secrets),
    }  # fmt: skip
    files.write_file(aside / "meta.json", json.dumps(meta, sort_keys=True, indent=1).encode() + b"\n", 0o600)
    files.fsync_directory(aside / "credentials")
    files.fsync_directory(aside)


def compare(layout: Layout, number: int, salt: str) -> dict[str, Any]:
    """Give what a generation runs with: plain variables, and of each secret only whether it is the same as another.

    Raises: AgentError no-generation, bad-generation.
    """
    generation = load(layout, number)
    folder = layout.generation(number) / "credentials"
    return {
        "variables": dict(generation.variables),
        "secrets": {
            name: hmac.new(salt.encode(), (folder / name).read_bytes(), hashlib.sha256).hexdigest()
            for name in generation.secrets
        },
    }


def quote(value: str) -> str:
    """Quote a value as systemd's EnvironmentFile= reads it (systemd.exec(5)); plain values stay bare."""
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]*", value):
        return value
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return f'"{escaped}"'


def environment(layout: Layout, generation: Generation, credentials: str | None = None) -> dict[str, str]:
    """Give a process of a generation all of its environment; nothing comes from whoever called the agent.

    `credentials` is what the path of each secret's file begins with; the generation's own folder, if not given.
    """
    credentials = f"{layout.generation(generation.number)}/credentials/" if credentials is None else credentials
    release = layout.release(generation.version)
    return {
        "PATH": f"{release}/bin:{PATH}",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{name: filled(layout, generation, value) for name, value in generation.variables.items()},
        **{f"{name}_FILE": f"{credentials}{name}" for name in generation.secrets},
        "HOME": str(layout.state),
        "RELEASE_VERSION": generation.version,
        "RELEASE_GENERATION": str(generation.number),
    }


def filled(layout: Layout, generation: Generation, value: str) -> str:
    """Put the places of this server into a variable, which is the same on all: {release} and {state}."""
    release = str(layout.release(generation.version))
    return value.replace("{release}", release).replace("{state}", str(layout.state))


@contextlib.contextmanager
def in_use(layout: Layout, number: int, *, exclusive: bool = False) -> Iterator[bool]:
    """Hold a generation against `prune`, or, exclusively, find out that nobody holds it (gives False when one does)."""
    descriptor = os.open(layout.generation(number), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        yield free
    finally:
        os.close(descriptor)
