"""Bring a release here as an rpm: checked against its manifest before anything of it runs or is unpacked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from deploy.agent import files, manifest, receive, releases, rpm, signature
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest

Say = Callable[[str], None]


def install(
    layout: Layout,
    text: bytes,
    signed: str | None,
    claimed: Mapping[str, Collection[str]],
    package: Callable[[Path], object] | None,
    say: Say,
) -> dict[str, Any]:
    """Install the package of a release unless it lies here whole.

    `package` writes what was sent to a path; None: dnf fetches it from the repositories that it knows.

    Raises: AgentError of `releases.admit`; no-rpm, bad-package, hash-mismatch, rpm-refused, release-incomplete.
    """
    wanted, by = releases.admit(layout, text, claimed, signed)
    if not layout.systemd:
        raise AgentError("no-rpm", "packages are for servers: the agent needs --name", hint='set artifact = "tree"')
    rpm.wait(layout, say)
    needed = bool(damage(layout, wanted))
    if needed:
        _bring(layout, wanted, package, say)
    if signed and signed != signature.read(layout, wanted.version):
        signature.put(layout, layout.release(wanted.version), signed)
    return {
        "version": wanted.version, "digest": wanted.digest, "installed": needed,
        "signed_by": by["by"] if by else None,
    }  # fmt: skip


def damage(layout: Layout, wanted: Manifest) -> list[str]:
    """List what is not right of a release that lies here: everything, when it does not."""
    try:
        same = (layout.release(wanted.version) / manifest.NAME).read_bytes() == wanted.text
    except (FileNotFoundError, NotADirectoryError):
        return [manifest.NAME]
    return releases.look(layout, wanted) if same else [manifest.NAME]


def _bring(layout: Layout, wanted: Manifest, package: Callable[[Path], object] | None, say: Say) -> None:
    folder, path = files.scratch(layout.tmp, "package"), layout.release(wanted.version)
    if package:
        folder.mkdir()
        file = folder / "release.rpm"
        package(file)
    else:
        file = rpm.download(layout, wanted.version, folder, say)
    problems = rpm.problems(file, layout, wanted)
    if problems:
        raise AgentError(
            "bad-package", f"the package is not release {wanted.version} of the manifest: "
            f"{'; '.join(problems[: rpm.SHOWN])}", problems=len(problems),
            hint="make rpm; if the agent is older than the package, bootstrap the host first",
        )  # fmt: skip
    fresh = not path.exists()
    remove_extras(layout, wanted)
    try:
        rpm.install(layout, file, wanted.version, say)
    except AgentError as error:
        if error.code == "rpm-refused" and fresh and path.exists():
            files.remove_tree(path, tmp=layout.tmp)
        raise
    remove_extras(layout, wanted)
    files.sync_filesystem(layout.base)
    left = damage(layout, wanted)
    if left:
        raise AgentError(
            "release-incomplete", f"rpm installed release {wanted.version}, and {len(left)} files are not as in its "
            f"manifest: {', '.join(left[: rpm.SHOWN])}", hint="deploy it again; rpm -V says what rpm thinks of it",
        )  # fmt: skip
    files.clear(folder)


def remove_extras(layout: Layout, wanted: Manifest) -> None:
    """Remove what the manifest does not know: an rpm that was killed leaves files under names of its own."""
    path = layout.release(wanted.version)
    if not path.is_dir():
        return
    for name, entry in releases.walk(str(path)).items():
        if name not in wanted.files and name not in wanted.links and name not in releases.OWN:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)


def save(payload: receive.Payload, sha256: str) -> Callable[[Path], object]:
    """Say how what was sent becomes a file."""
    return lambda path: receive.save(payload, path, sha256)
