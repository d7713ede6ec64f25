"""What the application reads from its environment: parsed once, and every mistake is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = {"", "changeme", "dev", "secret"}


@dataclass(frozen=True)
class Settings:
    """All of it."""

    secret_key: str


def problems(environ: Mapping[str, str]) -> list[str]:
    """Say what is wrong with an environment."""
    try:
        key = _secret(environ, "SECRET_KEY")
    except OSError as error:
        return [f"SECRET_KEY_FILE: expected a file that can be read, got {error}"]
    if key in EXAMPLES or len(key) < 16:
        return ["SECRET_KEY: expected a secret of 16 characters or more that is no example"]
    return []


def read(environ: Mapping[str, str]) -> Settings:
    """Read an environment, or refuse it."""
    if wrong := problems(environ):
        raise ValueError("; ".join(wrong))
    return Settings(secret_key=_secret(environ, "SECRET_KEY"))


def _secret(environ: Mapping[str, str], name: str) -> str:
    """Take a secret from the file that NAME_FILE names, where Slipway puts it, or from the variable."""
    if path := environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name, "")
