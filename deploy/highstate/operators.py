"""Whose keys may log in to servers to call the agent."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deploy import ssh
from deploy.environment import ROOT, Environment
from deploy.errors import SlipwayError


class OperatorsError(SlipwayError):
    """Nobody could log in to call the agent."""


def keys(environment: Environment) -> list[str]:
    """Answer the public keys: those that the environment file lists, else those that ssh would offer from here.

    Raises: OperatorsError when there is none.
    """
    slipway = environment.file.pillar.get("slipway", {})
    listed = slipway.get("agent", {}).get("keys") if isinstance(slipway, dict) else None
    if listed:
        return [str(key) for key in listed]
    identity = environment.file.ssh.identity
    found = _of_identity(ROOT / identity) if identity else _offered(environment)
    if not found:
        raise OperatorsError(
            f"{environment.name}: expected a key that may log in to call the agent; ssh has none to offer",
            hint=f"name one as ssh.identity in {environment.path}, or list public keys there: "
            '[pillar.slipway.agent] keys = ["ssh-ed25519 AAAA... me"]',
        )
    return found


def _of_identity(path: Path) -> list[str]:
    """Answer the public half of a private key: from the file beside it, or made of it."""
    beside = path.with_name(f"{path.name}.pub")
    if beside.is_file():
        return [beside.read_text(encoding="utf-8").strip()]
    return _lines(["ssh-keygen", "-y", "-P", "", "-f", str(path)])


def _offered(environment: Environment) -> list[str]:
    """Answer the keys of the files and of the agent that ssh would use."""
    settings = _lines(ssh.identities(environment, next(iter(environment.hosts))))
    named = [line.partition(" ")[2] for line in settings if line.startswith("identityfile ")]
    paths = [Path(name).expanduser() for name in named]
    found = [key for path in paths if path.is_file() for key in _of_identity(path)]
    return list({" ".join(key.split()[:2]): key for key in [*found, *_lines(["ssh-add", "-L"])]}.values())


def _lines(words: list[str]) -> list[str]:
    """Answer what a command prints; nothing when it fails, such as ssh-add where no agent runs."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
