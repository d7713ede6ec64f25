"""Releases that come as images: what the engine has of one, how it is loaded and checked, and how it goes.

Beside the manifest of such a release lies `image.json` instead of files: which image of this server's engine has them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO
from urllib.parse import quote

from deploy.agent import files, manifest, releases, signature
from deploy.agent.docker import Engine
from deploy.agent.errors import AgentError, Incomplete
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.receive import Payload

Say = Callable[[str], None]

LABEL = "slipway.release.digest"
SHOWN = 5  # differences that are told
CHUNK = 1 << 20


def have(layers: Sequence[str]) -> int:
    """Count the layers, from the lowest, that the engine has in this order: it then needs only the others."""
    engine = Engine()
    known = []
    for image in engine.call("GET", "/images/json"):
        described = engine.image(image["Id"])  # None: removed since
        known.append(((described or {}).get("RootFS") or {}).get("Layers") or [])
    return max((_common(layers, other) for other in known), default=0)


def _common(layers: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for one, two in zip(layers, other):
        if one != two:
            break
        count += 1
    return count


def load(
    layout: Layout,
    wanted: Manifest,
    identity: str,
    signed: str | None,
    vouched: str | None,
    archive: Payload | None,
    say: Say,
) -> bool:
    """Make a release of an image, loading it first where the engine lacks it; say whether it was loaded.

    `vouched` is a signature over the image's id, needed where releases have to be signed: the manifest's own says
    nothing of what lies below and beside the release. `archive` may lack layers that the engine has.

    Raises: AgentError unsigned, bad-signature, no-verifier, incomplete, no-engine, engine-refused, bad-image,
    version-exists.
    """
    require_signed(layout, wanted, identity, vouched)
    path = layout.release(wanted.version)
    if path.exists() and releases.image_of(layout, wanted.version) is None:
        raise AgentError(
            "version-exists", f"release {wanted.version} lies here as files", expected="an image, or nothing",
            got="files", hint='deploy it with artifact = "tree": it stays what it is',
        )  # fmt: skip
    engine = Engine()
    loads = engine.image(identity) is None
    if loads:
        if archive is None:
            raise Incomplete("incomplete", f"the engine lacks the image of release {wanted.version}", missing=[])
        engine.load(archive, say)
    if loads or releases.image_of(layout, wanted.version) != identity or not _same(layout, wanted):
        try:
            check(engine, identity, wanted)
        except AgentError:
            if loads:
                _discard(engine, identity)
            raise
        _put(layout, wanted, identity)
    if signed and signed != signature.read(layout, wanted.version):
        signature.put(layout, path, signed)
    return loads


def require_signed(layout: Layout, wanted: Manifest, identity: str, vouched: str | None) -> None:
    """Insist on a good signature over an image's id where signatures are required.

    Raises: AgentError unsigned, bad-signature, no-verifier.
    """
    signature.check_form(vouched)
    allowed = signature.signers(layout)
    if allowed is None:
        return
    if not vouched:
        raise AgentError(
            "unsigned", f"the image of release {wanted.version} has no signature, and {layout.allowed_signers} "
            "requires one", expected=f"a signature by one of: {', '.join(signature.names(allowed)) or 'nobody'}",
            got="none", hint="make image, make sign, then deploy it again",
        )  # fmt: skip
    signature.verify(layout.allowed_signers, f"{identity}\n".encode(), vouched, f"the image of {wanted.version}")


def _same(layout: Layout, wanted: Manifest) -> bool:
    try:
        return (layout.release(wanted.version) / manifest.NAME).read_bytes() == wanted.text
    except FileNotFoundError:
        return False


def _put(layout: Layout, wanted: Manifest, identity: str) -> None:
    aside, path = files.scratch(layout.tmp, "release"), layout.release(wanted.version)
    aside.mkdir(mode=0o755)
    files.write_file(aside / manifest.NAME, wanted.text, 0o444)
    files.write_file(aside / releases.IMAGE, json.dumps({"image": identity}).encode() + b"\n", 0o444)
    files.fsync_directory(aside)
    if path.exists():  # what it says is of an image that is gone
        files.remove_tree(path, tmp=layout.tmp)
    os.rename(aside, path)
    files.fsync_directory(layout.releases)


def check(engine: Engine, identity: str, wanted: Manifest) -> None:
    """Compare every byte of the release in an image with the manifest.

    Raises: AgentError bad-image.
    """
    described = engine.image(identity)
    if described is None:
        raise AgentError(
            "bad-image", "the archive has another image than announced", expected=identity, hint="make image"
        )
    told = ((described.get("Config") or {}).get("Labels") or {}).get(LABEL)
    found = differences(engine, identity, wanted) if told == wanted.digest else [f"its label {LABEL} is {told}"]
    if found:
        raise AgentError(
            "bad-image", f"image {identity[7:19]} is not of release {wanted.version}: {'; '.join(found[:SHOWN])}",
            problems=len(found), hint="make image, then deploy it again",
        )  # fmt: skip


def differences(engine: Engine, identity: str, wanted: Manifest) -> list[str]:
    """Say in what the release inside an image differs from a manifest, having read all of it."""
    place = f"/opt/{wanted.raw['name']}/release"  # a path without a version: versions share layers
    found: dict[str, str] = {}
    with (
        engine.made(identity) as container,
        engine.ask("GET", f"/containers/{container}/archive", path=place) as answer,
        tarfile.open(fileobj=answer, mode="r|") as tar,
    ):
        for member in tar:
            name = member.name.partition("/")[2]
            if member.isfile():
                found[name] = _mode(member.mode) + _sha256(tar.extractfile(member))
            elif not member.isdir():
                found[name] = f"link to {member.linkname}"
    return compare(found, wanted)


def compare(found: Mapping[str, str], wanted: Manifest) -> list[str]:
    """List the paths that are missing, more, or other than in a manifest."""
    right = {path: _mode(0o755 if file.executable else 0o644) + file.sha256 for path, file in wanted.files.items()}
    right |= {path: f"link to {target}" for path, target in wanted.links.items()}
    right[manifest.NAME] = _mode(0o644) + wanted.digest
    more = set(found) - set(right) - set(releases.OWN)
    return sorted([*more, *(path for path in right if found.get(path) != right[path])])


def _mode(mode: int) -> str:
    return f"{mode & 0o7777:04o} "


def _sha256(file: IO[bytes] | None) -> str:
    hashed = hashlib.sha256()
    while file and (chunk := file.read(CHUNK)):
        hashed.update(chunk)
    return hashed.hexdigest()


def forget(layout: Layout, version: str, identity: str) -> None:
    """Have the engine remove the image of a release that is gone, unless another release is of the same one.

    Raises: AgentError no-engine, engine-refused: something runs on it.
    """
    others = (releases.image_of(layout, other) for other in releases.versions(layout) if other != version)
    if identity not in others:
        _discard(Engine(), identity)


def _discard(engine: Engine, identity: str) -> None:
    described = engine.image(identity)
    for name in [] if described is None else described.get("RepoTags") or [identity]:
        engine.call("DELETE", f"/images/{quote(name)}")  # the last name takes the image along
