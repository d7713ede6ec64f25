"""Whose signature a release needs in an environment, and what speaks against a rollout of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from deploy.artifacts import signing
from deploy.environment import ROOT, Environment
from deploy.errors import SlipwayError
from deploy.facts import Host

SIGNERS = ROOT / signing.ALLOWED


class SignersError(SlipwayError):
    """Signatures are required, and nobody's counts."""


def wanted(environment: Environment, signers: Path = SIGNERS) -> bytes | None:
    """Answer the list of signers that the hosts of an environment shall have; None when they need no signature.

    Raises: SignersError.
    """
    if environment.file.signatures == "optional":
        return None
    try:
        return signers.read_bytes()
    except FileNotFoundError:
        raise SignersError(
            f'{environment.path}: signatures = "required", but there is no {signing.ALLOWED}: nobody could sign',
            hint="make key, then commit that file",
        ) from None


def problem(
    environment: Environment, version: str, manifest: str, signature: str | None, signers: Path = SIGNERS
) -> str | None:
    """Say why a release may not serve in an environment, as its hosts would; None when it may."""
    if wanted(environment, signers) is None:
        return None
    if not signature:
        return f'release {version} is not signed, and {environment.path} says signatures = "required" -> make sign'
    try:
        signing.verify_text(manifest.encode(), signature, signers, f"release {version}")
    except SlipwayError as error:
        return f"{error.message} -> {error.hint}" if error.hint else error.message
    return None


def host_problems(environment: Environment, hosts: Sequence[Host], signers: Path = SIGNERS) -> list[str]:
    """List hosts that go by another list of signers than the repository's.

    One that serves an unsigned release is none of them: it gets the list by `bootstrap` once a signed one serves there.
    """
    content = wanted(environment, signers)
    expected = None if content is None else hashlib.sha256(content).hexdigest()
    return [
        f"{host.name}: {_difference(expected, host.signers)} -> fab bootstrap:{environment.name}"
        for host in hosts
        if host.signers != expected and (expected is None or _is_signed(host))
    ]


def _difference(expected: str | None, there: str | None) -> str:
    if expected is None:
        return "requires signatures, and the environment file does not"
    return "does not require signatures yet" if there is None else f"goes by another list than {signing.ALLOWED}"


def _is_signed(host: Host) -> bool:
    """Say whether what serves there has a signature, or nothing serves."""
    running = host.generation(host.current)
    release = host.release(running.version) if running else None
    return release is None or bool(release.signature)
