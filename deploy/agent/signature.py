"""Who signed a release: SSH signatures over its manifest, checked by OpenSSH's own program (ssh-keygen(1), `-Y`).

The manifest holds the hash of every file, so one signature covers the release. Whose signatures count is in
`allowed_signers`; when that file is there, nothing else becomes a generation that serves.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.agent import files, manifest
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest

NAMESPACE = "slipway-release"  # a signature made for mail or git commits is none for a release
PROGRAM = "ssh-keygen"
PATH = "/usr/local/bin:/usr/bin:/bin"
HEAD = "-----BEGIN SSH SIGNATURE-----"
LONGEST = 16384
KEPT = 200  # results; each is a line
SAID = re.compile(r"with (\S+ key \S+)")


def read(layout: Layout, version: str) -> str | None:
    """Give the signature that lies beside a release's manifest."""
    try:
        return (layout.release(version) / manifest.SIGNATURE).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        return ""


def signers(layout: Layout) -> bytes | None:
    """Give the file that says whose signatures count; None: they are not required here."""
    try:
        return layout.allowed_signers.read_bytes()
    except FileNotFoundError:
        return None


def require(layout: Layout, wanted: Manifest, signature: str | None) -> dict[str, Any] | None:
    """Insist on a good signature where they are required; give who made it, or None where nobody asks.

    Raises: AgentError unsigned, bad-signature, no-verifier.
    """
    allowed = signers(layout)
    if allowed is None:
        return None
    if not signature:
        raise AgentError(
            "unsigned", f"release {wanted.version} has no signature, and {layout.allowed_signers} requires one",
            expected=f"{manifest.SIGNATURE} by one of: {', '.join(names(allowed)) or 'nobody'}", got="none",
            hint="make sign, then deploy it again",
        )  # fmt: skip
    mark = hashlib.sha256(signature.encode() + b"\0" + allowed).hexdigest()
    # A key with an end is asked for anew each time: the answer changes by itself.
    cached = None if b"valid-" in allowed else _known(layout).get(wanted.digest)
    if cached is not None and cached.get("mark") == mark:
        return {"by": cached["by"], "key": cached["key"]}
    found = verify(layout.allowed_signers, wanted.text, signature, f"release {wanted.version}")
    _remember(layout, wanted.digest, {**found, "mark": mark})
    return found


def verify(allowed: Path, text: bytes, signature: str, what: str) -> dict[str, str]:
    """Check a signature of a text; give whose it is (`by`), and the key.

    Raises: AgentError bad-signature, no-verifier.
    """
    # As a descriptor, for ssh-keygen takes the signature from a file only, and the manifest from its input.
    descriptor = os.memfd_create("signature")
    try:
        os.write(descriptor, signature.encode())
        place = f"/proc/self/fd/{descriptor}"
        by = _ask(["find-principals", "-s", place, "-f", str(allowed)], b"", descriptor)
        who = by.output.splitlines()[0].strip() if by.good and by.output.strip() else ""
        if not who:
            raise _bad(what, allowed, by.complaint)
        done = _ask(["verify", "-f", str(allowed), "-I", who, "-n", NAMESPACE, "-s", place], text, descriptor)
    finally:
        os.close(descriptor)
    if not done.good:
        raise _bad(what, allowed, done.complaint)
    said = SAID.search(done.output)
    return {"by": who, "key": said[1] if said else ""}


def digest(content: bytes | str | None) -> str | None:
    """Name a signature, or a list of signers, by its content."""
    if content is None:
        return None
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def names(allowed: bytes) -> list[str]:
    """List whom an allowed_signers file names (ssh-keygen(1), ALLOWED SIGNERS)."""
    lines = (line.split() for line in allowed.decode(errors="replace").splitlines())
    return [words[0] for words in lines if words and not words[0].startswith("#")]


def describe(layout: Layout, wanted: Manifest) -> dict[str, Any]:
    """Tell about a release's signature: its state, and `by`, `key`, `problem` where known.

    States: good, bad, unsigned; unchecked is a signature on a host that does not require any.
    """
    signature = read(layout, wanted.version)
    if signers(layout) is None:
        return {"state": "unchecked" if signature else "unsigned"}
    try:
        return {"state": "good", **(require(layout, wanted, signature) or {})}
    except AgentError as error:
        state = {"unsigned": "unsigned", "bad-signature": "bad"}.get(error.code, "unchecked")
        return {"state": state, "problem": error.message}


def check_form(signature: str | None) -> None:
    """Refuse to keep what is no signature, also where nobody checks it.

    Raises: AgentError bad-signature.
    """
    if signature and (len(signature) > LONGEST or not signature.startswith(HEAD) or not signature.isascii()):
        raise AgentError(
            "bad-signature", "what came as signature is none", expected=f"text that begins with {HEAD}",
            got=repr(signature[:40]), hint="make sign",
        )  # fmt: skip


def put(layout: Layout, folder: Path, signature: str) -> None:
    """Lay a signature beside the manifest."""
    files.atomic_write(folder / manifest.SIGNATURE, signature.encode(), tmp=layout.tmp, mode=0o444)


class _Answer:
    def __init__(self, status: int, output: bytes, complaint: bytes) -> None:
        self.good = status == 0
        self.output = output.decode(errors="replace")
        lines = (complaint or output).decode(errors="replace").strip().splitlines()
        self.complaint = lines[-1][:200] if lines else f"exit status {status}"


def _ask(arguments: list[str], text: bytes, descriptor: int) -> _Answer:
    import subprocess

    try:
        done = subprocess.run(
            [PROGRAM, "-Y", *arguments], input=text, capture_output=True, timeout=30, check=False,
            env={"PATH": PATH, "LC_ALL": "C"}, pass_fds=[descriptor],
        )  # fmt: skip
    except FileNotFoundError:
        raise AgentError(
            "no-verifier", f"{PROGRAM} is not on this host: signatures can't be checked",
            hint="install it (Debian: apt install openssh-client; RHEL: dnf install openssh)",
        ) from None  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AgentError("no-verifier", f"{PROGRAM} did not answer within 30 s", hint="try again") from None
    return _Answer(done.returncode, done.stdout, done.stderr)


def _bad(what: str, allowed: Path, complaint: str) -> AgentError:
    return AgentError(
        "bad-signature", f"the signature of {what} is not good: {complaint}",
        expected=f"one over these bytes, by a key of {allowed}", got=complaint,
        hint="if the release was altered: build it again; if the key is new: add it to allowed_signers and bootstrap",
    )  # fmt: skip


def _known(layout: Layout) -> dict[str, Mapping[str, str]]:
    try:
        known = json.loads(layout.verified.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(layout: Layout, digest: str, found: Mapping[str, str]) -> None:
    known = {**_known(layout), digest: found}
    newest = dict(list(known.items())[-KEPT:])
    files.atomic_write(layout.verified, json.dumps(newest, indent=1).encode() + b"\n", tmp=layout.tmp)
