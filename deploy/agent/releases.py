"""Releases: immutable trees of hard links into the store."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.agent import files, host, manifest, signature, store
from deploy.agent.errors import AgentError, Incomplete
from deploy.agent.layout import Layout
from deploy.agent.manifest import File, Manifest

OWN = (manifest.NAME, manifest.SIGNATURE)  # what is in a release and not in its manifest
IMAGE = "image.json"  # says, in the place of files, which image of the engine has them


def load(layout: Layout, version: str) -> Manifest:
    """Read the manifest of a release.

    Raises: AgentError no-release, bad-manifest.
    """
    path = layout.release(version) / manifest.NAME
    try:
        return manifest.read(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise AgentError("no-release", f"there is no release {version} here", hint="deploy it") from None


def versions(layout: Layout) -> list[str]:
    """List the releases that are here, whole or not."""
    try:
        return sorted(entry.name for entry in os.scandir(layout.releases) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def image_of(layout: Layout, version: str) -> str | None:
    """Name the image that has a release's files; None when they lie here."""
    try:
        found = json.loads((layout.release(version) / IMAGE).read_bytes())
        return str(found["image"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return "damaged"


def walk(root: str) -> dict[str, os.DirEntry[str]]:
    """List everything in a tree that is not a directory, by relative path."""
    found: dict[str, os.DirEntry[str]] = {}
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{prefix}{entry.name}/")
                else:
                    found[prefix + entry.name] = entry
    return found


def look(layout: Layout, wanted: Manifest) -> list[str]:
    """List the paths of a release that are absent, extra or touched, without reading a byte of them."""
    image = image_of(layout, wanted.version)
    if image is not None:
        from deploy.agent.docker import Engine  # here: few servers have one

        return [] if Engine().has_image(image) else [IMAGE]
    found = walk(str(layout.release(wanted.version)))
    for name in OWN:
        found.pop(name, None)
    problems = [path for path in found if path not in wanted.files and path not in wanted.links]
    for path, file in wanted.files.items():
        entry = found.get(path)
        if entry is None or not store.untouched(entry.stat(follow_symlinks=False), file.executable, file.size):
            problems.append(path)
    for path, target in wanted.links.items():
        entry = found.get(path)
        if entry is None or not entry.is_symlink() or os.readlink(entry.path) != target:
            problems.append(path)
    return sorted(problems)


def require_signed(layout: Layout, wanted: Manifest) -> None:
    """Insist that a release that lies here is signed, where that is required; asked before, it costs a look.

    Raises: AgentError unsigned, bad-signature, no-verifier.
    """
    signature.require(layout, wanted, signature.read(layout, wanted.version))


def require_complete(layout: Layout, version: str, digest: str) -> Manifest:
    """Give a release's manifest when the release is what its generation was made for.

    Raises: AgentError no-release, bad-manifest, tampered, release-incomplete.
    """
    found = load(layout, version)
    if found.digest != digest:
        raise AgentError(
            "tampered", f"the manifest of release {version} is not the one this generation was made for",
            expected=digest, got=found.digest, hint="deploy the version again: it repairs the release",
        )  # fmt: skip
    problems = look(layout, found)
    if problems:
        raise AgentError(
            "release-incomplete",
            f"release {version} has {len(problems)} missing or touched files: {', '.join(problems[:5])}",
            hint="deploy the version again: it repairs the release",
        )
    return found


class Plan(NamedTuple):
    """What an existing release needs to be right."""

    put: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def plan_repair(wanted: Manifest, found: Mapping[str, object], right: Mapping[str, object]) -> Plan:
    """Compare what a release has with what it should have.

    `found` and `right` map paths to a comparable fact: the inode of an untouched file, the target of a link.
    """
    return Plan(
        put=tuple(path for path in wanted.files if found.get(path) != right[path]),
        link=tuple(path for path in wanted.links if found.get(path) != right[path]),
        remove=tuple(sorted(path for path in found if path not in right and path not in OWN)),
    )


def assemble(layout: Layout, text: bytes, claimed: Mapping[str, set[str]], signed: str | None = None) -> dict[str, Any]:
    """Make or repair a release out of the store.

    `claimed` maps versions to the digests that generations were made for; `signed` is the signature of the manifest, by
    default the one that lies here.

    Raises: AgentError bad-manifest, unsigned, bad-signature, no-verifier, wrong-platform, no-python, wrong-python,
    version-exists, incomplete.
    """
    wanted, by = admit(layout, text, claimed, signed)
    there = _signature_here(layout, wanted)
    path = layout.release(wanted.version)
    linked = repaired = 0
    if not path.exists():
        _require(layout, wanted)
        linked = _build(layout, wanted, path)
    else:
        repaired = _repair(layout, wanted, path)
    if signed and signed != there:
        signature.put(layout, path, signed)
        repaired += not linked
    return {
        "version": wanted.version, "digest": wanted.digest, "linked": linked, "repaired": repaired,
        "signed_by": by["by"] if by else None,
    }  # fmt: skip


def admit(
    layout: Layout,
    text: bytes,
    claimed: Mapping[str, Collection[str]],
    signed: str | None,
    *,
    python: bool = True,
) -> tuple[Manifest, dict[str, Any] | None]:
    """Say whether a release may come here, in whatever form; give its manifest, and who signed it where that counts.

    `python`: it will run on this server's own, and not on one that it brings.

    Raises: AgentError bad-manifest, unsigned, bad-signature, no-verifier, wrong-platform, no-python, wrong-python,
    version-exists.
    """
    wanted = manifest.parse(text)
    signature.check_form(signed)
    by = signature.require(layout, wanted, signed or _signature_here(layout, wanted))
    host.check(wanted, python=python)
    others = set(claimed.get(wanted.version, ())) - {wanted.digest}
    if others:
        raise AgentError(
            "version-exists", f"release {wanted.version} exists with other contents, and a generation uses it",
            expected=sorted(others)[0], got=wanted.digest, hint="commit, so that the build gets a version of its own",
        )  # fmt: skip
    return wanted, by


def _signature_here(layout: Layout, wanted: Manifest) -> str | None:
    """Give the signature that lies here, if it is of this very manifest."""
    try:
        same = (layout.release(wanted.version) / manifest.NAME).read_bytes() == wanted.text
    except (FileNotFoundError, NotADirectoryError):
        return None
    return signature.read(layout, wanted.version) if same else None


def _require(layout: Layout, wanted: Manifest) -> None:
    lacking = store.lacking(str(layout.store), wanted.files.values())
    if lacking:
        for sha256 in lacking:
            store.discard(layout, sha256)  # there, perhaps, but of another size: `missing` must ask for it
        raise Incomplete(
            "incomplete", f"the store lacks {len(lacking)} files of release {wanted.version}",
            missing=lacking, hint="send them with `receive`",
        )  # fmt: skip


def _build(layout: Layout, wanted: Manifest, path: Path) -> int:
    aside = files.scratch(layout.tmp, "release")
    root = str(aside)
    os.mkdir(root, 0o755)
    for folder in sorted({os.path.dirname(name) for name in [*wanted.files, *wanted.links]}):
        os.makedirs(f"{root}/{folder}", mode=0o755, exist_ok=True)
    store.provide(layout, wanted.files.values())
    for name, file in wanted.files.items():
        os.link(_stored(layout, file), f"{root}/{name}")
    for name, target in wanted.links.items():
        os.symlink(target, f"{root}/{name}")
    files.write_file(aside / manifest.NAME, wanted.text, 0o444)
    files.sync_filesystem(layout.base)
    os.rename(aside, path)
    files.fsync_directory(layout.releases)
    return len(wanted.files)


def _stored(layout: Layout, file: File) -> str:
    return store.path_of(str(layout.store), file.sha256, file.executable)


def _repair(layout: Layout, wanted: Manifest, path: Path) -> int:
    root = str(path)
    entries = walk(root)
    found = {name: _fact(entry) for name, entry in entries.items()}
    right: dict[str, object] = dict(wanted.links)
    for name, file in wanted.files.items():
        status = store.find(str(layout.store), file.sha256, file.executable, file.size)
        right[name] = status.st_ino if status else _untouched(entries.get(name), file)
    plan = plan_repair(wanted, found, right)
    put = [*plan.put, *(name for name in wanted.files if right[name] is None and name not in plan.put)]
    same_text = manifest.NAME in entries and (path / manifest.NAME).read_bytes() == wanted.text
    if same_text and not (put or plan.link or plan.remove):
        return 0
    _require(layout, wanted)
    for name in plan.remove:
        os.unlink(f"{root}/{name}")
    store.provide(layout, [wanted.files[name] for name in put])
    for name in put:
        aside = files.scratch(layout.tmp, "link")
        os.link(_stored(layout, wanted.files[name]), aside)
        _replace(aside, f"{root}/{name}")
    for name in plan.link:
        aside = files.scratch(layout.tmp, "link")
        os.symlink(wanted.links[name], aside)
        _replace(aside, f"{root}/{name}")
    if not same_text:
        files.remove(path / manifest.SIGNATURE)  # it was of another manifest
        files.atomic_write(path / manifest.NAME, wanted.text, tmp=layout.tmp, mode=0o444)
    files.sync_filesystem(layout.base)
    return len(put) + len(plan.link) + len(plan.remove) + (not same_text)


def _fact(entry: os.DirEntry[str]) -> object:
    if entry.is_symlink():
        return os.readlink(entry.path)
    status = entry.stat(follow_symlinks=False)
    return status.st_ino if status.st_mtime_ns == store.PINNED_NS[0] else None


def _untouched(entry: os.DirEntry[str] | None, file: File) -> int | None:
    """Give the inode of a file that is right and yet not in the store: a package laid it out."""
    if entry is None or entry.is_symlink():
        return None
    status = entry.stat(follow_symlinks=False)
    return status.st_ino if store.untouched(status, file.executable, file.size) else None


def _replace(aside: Path, target: str) -> None:
    """Put a link in the place of whatever is there: processes that run see the old file or the new one."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        files.clear(target)
    os.rename(aside, target)
    files.remove(aside)  # rename does nothing when both names are links to one inode
