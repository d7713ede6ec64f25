"""Signatures that rpm and dnf check: OpenPGP, by gpg and rpmsign, with a key that is a file, as that for releases is.

gpg keeps keys in a home with a process beside it. A pipeline has a file; so the home lives as long as one run, and the
key is what `gpg --export-secret-keys` writes. An RSA signature depends on key, content and time; the time is given, so
signing the same bytes again gives the same bytes.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import signing
from deploy.artifacts.rpm import tools
from deploy.artifacts.signing import SigningError

PUBLIC = Path("packaging/keys/repository.asc")  # from the repository's root: every key that may sign
VARIABLE = "SLIPWAY_REPO_KEY"
_KIND = "rsa3072"  # what rpm knows since it has signatures; RHEL 8's does not know ed25519
_GPG = ("gpg", "--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")


@dataclass(frozen=True)
class Signer:
    """A key in a home of its own."""

    home: Path
    fingerprint: str
    created: int
    public: str

    def sign_package(self, path: Path, when: int) -> None:
        """Add a signature to an rpm; an older one is replaced."""
        macros = {
            "__gpg": shutil.which("gpg"),  # Debian's rpm names one that Debian does not have
            "_gpg_path": self.home,
            "_gpg_name": self.fingerprint,
            "_gpg_digest_algo": "sha256",
            "_gpg_sign_cmd_extra_args": " ".join([*_GPG[1:-1], "''", *self._at(when)]),
        }
        defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
        tools.run(["rpmsign", *defines, "--addsign", path], self.home, GPG_TTY="")

    def sign_file(self, path: Path, when: int) -> Path:
        """Write `<path>.asc`."""
        target = path.with_name(f"{path.name}.asc")
        words = ("--armor", "--local-user", self.fingerprint, *self._at(when), "--output", str(target))
        _gpg(self.home, *words, "--detach-sign", str(path))
        return target

    def _at(self, when: int) -> tuple[str, ...]:
        """Give the time of a signature; one older than its key would be refused."""
        return (f"--faked-system-time={max(when, self.created)}!",)


def key_of(name: str) -> Path:
    """Say where the private key of a repository lies: SLIPWAY_REPO_KEY, or below the user's own configuration."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".config/slipway" / f"{name}_repository.asc"


def make_key(name: str, root: Path, who: str | None = None) -> tuple[Path, str, str]:
    """Make a key, and list its public half; answer where it lies, who holds it and its fingerprint.

    Raises: SigningError when there is a key already: servers know that one.
    """
    key, who = key_of(name), signing.named(root, who)
    signing.refuse_place(key, root, f"{VARIABLE}=FILE make repo-key", PUBLIC)
    tools.require("gpg")
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _home() as home:
        _gpg(home, "--quick-generate-key", f"{name} packages <{who}>", _KIND, "sign", "never")
        fingerprint, _ = _listed(home)
        secret = _gpg(home, "--armor", "--export-secret-keys", fingerprint)
        public = _gpg(home, "--armor", "--export", fingerprint)
    key.touch(0o600, exist_ok=False)  # nobody else's, before there is anything in it
    key.write_text(secret)
    (root / PUBLIC).parent.mkdir(parents=True, exist_ok=True)
    with (root / PUBLIC).open("a") as file:
        file.write(public)
    return key, who, fingerprint


@contextlib.contextmanager
def opened(key: Path, root: Path) -> Iterator[Signer]:
    """Give a signer; `root` is that of the repository, which lists who may sign.

    Raises: SigningError for a key that is missing, open to others, no key, or not listed.
    """
    signing.refuse_unusable(key, f"make repo-key, or {VARIABLE}=FILE make repo")
    tools.require("gpg")
    tools.require("rpmsign")
    with _home() as home:
        _gpg(home, "--import", str(key))
        fingerprint, created = _listed(home)
        public, listed = _gpg(home, "--armor", "--export", fingerprint), root / PUBLIC
        if listed.is_file():
            if fingerprint not in _gpg(home, "--with-colons", "--show-keys", str(listed)):
                raise SigningError(
                    f"{key}: this key is not in {PUBLIC}: no server would take what it signs",
                    hint=f"gpg --show-keys --with-fingerprint {PUBLIC}   (this one is {fingerprint})",
                )
            public = listed.read_text()
        yield Signer(home, fingerprint, created, public)


@contextlib.contextmanager
def found(name: str, root: Path, *, unsigned: bool) -> Iterator[Signer | None]:
    """Give the signer of a project, or None when it has no key; a missing one is a mistake only when it was named."""
    key = key_of(name)
    if unsigned or not (key.exists() or os.environ.get(VARIABLE)):
        yield None
        return
    with opened(key, root) as signer:
        yield signer


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """Give a home for gpg; its path is short, for there will be a socket in it, and its process ends with it."""
    with tempfile.TemporaryDirectory(prefix="slipway-gpg-", ignore_cleanup_errors=True) as name:
        try:
            yield Path(name)
        finally:
            subprocess.run(["gpgconf", "--homedir", name, "--kill", "gpg-agent"], capture_output=True, check=False)


def _listed(home: Path) -> tuple[str, int]:
    """Answer the fingerprint of the one secret key of a home, and the second it was made in."""
    rows = [line.split(":") for line in _gpg(home, "--with-colons", "--list-secret-keys").splitlines()]
    keys = [row for row in rows if row[0] == "sec"]
    if len(keys) != 1:
        hint = "gpg --armor --export-secret-keys KEY > FILE"
        raise SigningError(f"expected a file with one secret key, got {len(keys)}", hint=hint)
    return next(row[9] for row in rows if row[0] == "fpr"), int(keys[0][5])


def _gpg(home: Path, *arguments: str) -> str:
    environ = {"PATH": os.environ.get("PATH", os.defpath), "GNUPGHOME": str(home), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([*_GPG, *arguments], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("gpg: ")]
        raise SigningError(f"gpg {arguments[0]} failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
