"""Adopt an application: from the folder of its repository to a slipway.toml that can be built, and a lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy import contract
from deploy.adopt import lock, surroundings, variables, write
from deploy.adopt.inspect import Findings
from deploy.errors import SlipwayError

ENVIRONMENTS = Path("deploy", "environments")
Say = Callable[[str], None]


class AdoptFailed(SlipwayError):
    """An application can't be adopted."""


@dataclass(frozen=True)
class Adopted:
    """What was written, and what a person has to see to."""

    path: str
    findings: Findings
    environments: tuple[str, ...]
    locked: bool
    problems: tuple[str, ...] = ()


def adopt(app: Path, into: Path, *, force: bool = False, say: Say = lambda text: None) -> Adopted:
    """Write slipway.toml and slipway.lock into `into`, for the application in `app`.

    Raises: AdoptFailed, SlipwayError with the resolver's words; nothing of the application is ever written.
    """
    root, target = app.expanduser().resolve(), into / contract.OWN_FILE
    if not root.is_dir():
        raise AdoptFailed(f"{app}: expected the folder of an application", hint="make adopt APP=../theirs")
    if root == into.resolve():
        raise AdoptFailed(f"{app} is Slipway's own: expected another application", hint="make adopt APP=../theirs")
    if target.exists() and not force:
        raise AdoptFailed(
            f"{target.name} is there already: it may have changes by hand",
            hint=f"edit it, or: rm {target.name}; then again",
        )
    findings = surroundings.all_of(root)
    source = os.path.relpath(root, into.resolve())
    target.write_text(write.text(findings, source), encoding="utf-8")
    changed = tuple(_forget(path, into) for path in sorted((into / ENVIRONMENTS).glob("*.toml")) if _is_ours(path))
    try:
        say("locking what it requires")
        lock.write(into)
    except SlipwayError as error:
        return Adopted(target.name, findings, changed, locked=False, problems=(error.message, *error.problems))
    return Adopted(target.name, findings, changed, locked=True)


def _is_ours(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return variables.without(text) != text.rstrip("\n") + "\n"


def _forget(path: Path, into: Path) -> str:
    """Take the variables of the application that was here out of an environment file."""
    path.write_text(variables.without(path.read_text(encoding="utf-8")), encoding="utf-8")
    return path.relative_to(into).as_posix()


def report(adopted: Adopted) -> str:
    """Say what was found, guessed and missing, and what to type next."""
    name = adopted.findings.value("name")
    rows = [
        f"  {'guessed' if line.guessed else 'found':<8} {line.key} = {write.value(line.value)}   ({line.why})"
        for line in adopted.findings.lines
    ]
    rows += [f"  missing  {text}" for text in adopted.findings.missing]
    rows += [f"  optional {text}" for text in adopted.findings.optional]
    rows += [f"  changed  {path}: no variables of another application any more" for path in adopted.environments]
    rows += [f"  problem  {text}" for text in adopted.problems]
    todo = f"look at {adopted.path}" + ("" if adopted.locked else ", then: make lock")
    ready = "make release && fab bootstrap:local && fab deploy:local"
    return "\n".join([f"{name}: {adopted.path} was written", *rows, f"  -> {todo}; then: {ready}"])
