"""Throwaway signing keys."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signer:
    """An ed25519 key, and who holds it."""

    key: Path
    who: str

    @property
    def line(self) -> str:
        """The line that makes the key count."""
        kind, public, *_ = self.key.with_suffix(".pub").read_text().split()
        return f'{self.who} namespaces="slipway-release" {kind} {public}\n'

    def sign(self, text: bytes, namespace: str = "slipway-release") -> str:
        """Sign as anybody would, with ssh-keygen alone."""
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(self.key), "-n", namespace]
        return subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode()


def signer(folder: Path, who: str = "ada@example.org") -> Signer:
    """Make a key."""
    key = folder / who.replace("@", "-at-").replace(".", "-")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(key)], check=True)
    return Signer(key, who)


def end_gpg(homes: Iterable[Path]) -> None:
    """End the processes that gpg left at work beside its keys, whoever called it."""
    for home in homes:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)
