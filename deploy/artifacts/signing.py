"""Sign what is built, with SSH keys and OpenSSH's own program: anybody with `ssh-keygen -Y verify` can check it.

An ed25519 signature depends on key and content only, so signing the same bytes again gives the same bytes.
"""

import getpass
import os
import re
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.agent import signature
from deploy.agent.errors import AgentError
from deploy.artifacts.files import write
from deploy.errors import SlipwayError

SUFFIX = ".sig"
NAMESPACE = signature.NAMESPACE
ALLOWED = Path("packaging/keys/allowed_signers")  # from the repository's root
_WHO = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_VARIABLE = "SLIPWAY_KEY"


class SigningError(SlipwayError):
    """Something can't be signed, or a signature is not good."""


@dataclass(frozen=True)
class Signed:
    """A good signature: whose it is, and the fingerprint of the key."""

    by: str
    key: str

    def __str__(self) -> str:
        """Say who signed."""
        return f"signed by {self.by} ({self.key})"


def key_of(name: str) -> Path:
    """Say where the private key of an application lies: SLIPWAY_KEY, or below the user's own configuration."""
    given = os.environ.get(_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".config/slipway" / f"{name}_ed25519"


def make_key(name: str, root: Path, who: str | None = None) -> tuple[Path, str]:
    """Make a key pair, and let releases signed with it count; answer where the private key lies, and who holds it.

    Raises: SigningError when there is a key already: whoever overwrites one can't sign for the servers that know it.
    """
    key, who = key_of(name), named(root, who)
    refuse_place(key, root, f"{_VARIABLE}=FILE make key", ALLOWED)
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run("-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(key))
    key.chmod(0o600)
    _allow(root / ALLOWED, who, key)
    return key, who


def refuse_place(key: Path, root: Path, elsewhere: str, listed: Path) -> None:
    """Refuse a place for a new private key: where one lies, and the repository.

    Raises: SigningError; `elsewhere` is what to type for another place, `listed` where the public half will be.
    """
    if key.exists():
        raise SigningError(
            f"{key}: there is a key already, and it stays as it is",
            hint=f"to make another: {elsewhere}   (its public half is added to {listed})",
        )
    if key.resolve().is_relative_to(root.resolve()):
        raise SigningError(f"{key}: a private key inside the repository ends in a commit", hint=elsewhere)


def refuse_unusable(key: Path, make: str) -> None:
    """Refuse a private key that is not there, or that others can read.

    Raises: SigningError; `make` is what to type to have one.
    """
    if not key.is_file():
        raise SigningError(f"{key}: there is no key to sign with", hint=make)
    if mode := stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise SigningError(f"{key}: others can read this key (mode {mode:03o} for them)", hint=f"chmod 600 {key}")


def sign(path: Path, key: Path) -> Path:
    """Write `<path>.sig`; the same content and key give the same bytes.

    Raises: SigningError.
    """
    refuse_unusable(key, f"make key, or {_VARIABLE}=FILE make sign")
    made = _run("-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, text=path.read_bytes())
    target = path.with_name(path.name + SUFFIX)
    write(path.parent, target.name, made)
    return target


def verify(path: Path, allowed: Path) -> Signed:
    """Check `<path>.sig`; say whose it is.

    Raises: SigningError.
    """
    signed = path.with_name(path.name + SUFFIX)
    if not signed.is_file():
        raise SigningError(f"{path}: has no signature ({signed.name})", hint="make sign")
    return verify_text(path.read_bytes(), signed.read_text(errors="replace"), allowed, str(path))


def verify_text(text: bytes, signed: str, allowed: Path, what: str) -> Signed:
    """Check a signature of a text, as a server does.

    Raises: SigningError.
    """
    if not allowed.is_file():
        raise SigningError(f"{allowed}: missing, so nobody's signature counts", hint="make key")
    try:
        found = signature.verify(allowed, text, signed, what)
    except AgentError as error:
        raise SigningError(error.message, hint=error.fields.get("hint")) from None
    return Signed(found["by"], found["key"])


def fingerprint(key: Path) -> str:
    """Name a key as ssh-keygen does."""
    return _run("-l", "-f", str(key)).decode().split()[1]


def line_of(key: Path, who: str | None = None) -> str | None:
    """Write the line that makes a key count; None when its public half is not beside it."""
    try:
        kind, public, *comment = key.with_name(f"{key.name}.pub").read_text().split()
    except (OSError, ValueError):
        return None
    return f'{who or (comment or ["somebody"])[0]} namespaces="{NAMESPACE}" {kind} {public}'


def _allow(path: Path, who: str, key: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line_of(key, who)}\n")


def named(root: Path, who: str | None) -> str:
    """Name whoever holds a key: as asked, else as git does, for the same people read both.

    Raises: SigningError for a name that no list can hold.
    """
    if who is None:
        who = re.sub(r"[^A-Za-z0-9._@+-]", "-", f"{getpass.getuser()}@{socket.gethostname()}")
        if (git := shutil.which("git")) is not None:
            command = [git, "config", "user.email"]
            asked = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
            who = asked if _WHO.fullmatch(asked) else who
    if not _WHO.fullmatch(who):
        raise SigningError(f"{who!r} can't name a signer: expected letters, digits and . _ @ + - only")
    return who


def _run(*arguments: str, text: bytes = b"") -> bytes:
    try:
        done = subprocess.run([signature.PROGRAM, *arguments], input=text, capture_output=True, check=False)
    except FileNotFoundError:
        raise SigningError(
            f"{signature.PROGRAM} is missing on this machine", hint="apt-get install openssh-client"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise SigningError(f"{signature.PROGRAM}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
