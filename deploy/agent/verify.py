"""Read every byte of releases and store, and make what is damaged be sent again."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.agent import generations, manifest, releases, signature, store
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import proc, supervisor_of

CHUNK = 1 << 20
Inode = tuple[int, int]


class Digests:
    """The sha256 of files, each inode read once however many names it has."""

    def __init__(self) -> None:
        self._known: dict[Inode, str] = {}

    def read(self, paths: Iterable[str]) -> None:
        """Hash files, several at once: hashlib lets go of the interpreter."""
        todo: dict[Inode, str] = {}
        for path in paths:
            inode = _inode(path)
            if inode and inode not in self._known:
                todo[inode] = path
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            self._known.update(zip(todo, pool.map(_sha256, todo.values())))

    def of(self, path: str) -> str | None:
        """Give the hash of a regular file that was read; None when there is none."""
        inode = _inode(path)
        return self._known.get(inode) if inode else None


def _inode(path: str) -> Inode | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _sha256(path: str) -> str:
    hashed = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return hashed.hexdigest()


def verify(layout: Layout, version: str | None, repair: bool) -> dict[str, Any]:
    """Check releases against their manifests; with `repair` relink what the store still has whole.

    Raises: AgentError no-release.
    """
    if version is not None and version not in releases.versions(layout):
        releases.load(layout, version)
    digests = Digests()
    chosen = releases.versions(layout) if version is None else [version]
    claimed = generations.claimed(layout)
    if version is None:
        _check_store(layout, digests)
    checked = [_verify(layout, name, claimed.get(name, set()), repair, digests) for name in chosen]
    return {"releases": checked, "processes": _processes(layout)}


def _processes(layout: Layout) -> list[dict[str, Any]]:
    """Say of each living process which generation it is of, and what is wrong with that."""
    known = {generation.number: generation for generation in generations.load_all(layout)}
    current = generations.current(layout)
    found = []
    for running in supervisor_of(layout).running():
        if running.process == "trial":
            continue
        generation, program, problem = known.get(running.generation), proc.program(running.pid), ""
        if generation is None:
            problem = f"generation {running.generation} is not on this host"
        elif running.generation != current:
            problem = f"generation {running.generation} runs, and {current or 'none'} is current"
        elif releases.image_of(layout, generation.version) is None:  # the program of an image is in its container
            expected = f"{layout.release(generation.version)}/bin/python"
            problem = "" if program in (expected, "") else f"runs {program}, not {expected}"
        found.append({"generation": running.generation, "pid": running.pid, "program": program, "problem": problem})
    return found


def _verify(layout: Layout, version: str, claimed: set[str], repair: bool, digests: Digests) -> dict[str, Any]:
    try:
        wanted = releases.load(layout, version)
    except AgentError as error:
        problem = {"path": manifest.NAME, "expected": "a manifest", "got": error.message}
        return {"version": version, "digest": "", "files": 0, "problems": [problem], "signature": {"state": "unsigned"}}
    image = releases.image_of(layout, version)
    problems = _compare(layout, wanted, digests) if image is None else _compare_image(image, wanted)
    if claimed and wanted.digest not in claimed:
        problems.insert(0, {"path": manifest.NAME, "expected": sorted(claimed)[0], "got": wanted.digest})
    elif problems and repair and image is None:
        _repair(layout, wanted, problems)
    return {
        "version": version, "digest": wanted.digest, "files": len(wanted.files), "problems": problems,
        "signature": signature.describe(layout, wanted),
    }  # fmt: skip


def _compare(layout: Layout, wanted: Manifest, digests: Digests) -> list[dict[str, Any]]:
    root, pool = str(layout.release(wanted.version)), str(layout.store)
    kept = {path: store.path_of(pool, file.sha256, file.executable) for path, file in wanted.files.items()}
    digests.read([f"{root}/{path}" for path in wanted.files])
    digests.read(kept.values())
    problems = []
    for path, file in wanted.files.items():
        stored = digests.of(kept[path])
        if stored not in (None, file.sha256):
            _condemn(kept[path])
        got = digests.of(f"{root}/{path}")
        if got != file.sha256:
            _condemn(f"{root}/{path}", keep=True)
            problems.append({"path": path, "expected": file.sha256, "got": got or "no such file"})
    seen = {problem["path"] for problem in problems}
    for path in releases.look(layout, wanted):
        if path not in seen:
            problems.append({"path": path, **_difference(root, path, wanted)})
    return sorted(problems, key=lambda problem: str(problem["path"]))


def _compare_image(image: str, wanted: Manifest) -> list[dict[str, Any]]:
    from deploy.agent import docker, images

    try:
        found = images.differences(docker.Engine(), image, wanted)
    except AgentError as error:
        return [{"path": releases.IMAGE, "expected": f"image {image}", "got": error.message}]
    return [{"path": path, "expected": "as in the manifest", "got": f"otherwise, in image {image}"} for path in found]


def _difference(root: str, path: str, wanted: Manifest) -> dict[str, str]:
    if path in wanted.links:
        try:
            got = f"link to {os.readlink(f'{root}/{path}')}"
        except OSError:
            got = "no such link"
        return {"expected": f"link to {wanted.links[path]}", "got": got}
    if path not in wanted.files:
        return {"expected": "nothing", "got": "a file that is not in the manifest"}
    status = os.lstat(f"{root}/{path}")
    mode = store.mode_of(wanted.files[path].executable)
    return {
        "expected": f"mode {mode:04o}, mtime {store.PINNED}",
        "got": f"mode {stat.S_IMODE(status.st_mode):04o}, mtime {int(status.st_mtime)}",
    }


def _condemn(path: str, *, keep: bool = False) -> None:
    """Make damage show at a glance, by its mtime; only the store forgets the file: a release may be running."""
    try:
        os.utime(path, follow_symlinks=False)
        if not keep:
            os.unlink(path)
    except FileNotFoundError:
        return


def _check_store(layout: Layout, digests: Digests) -> None:
    for folder in os.scandir(layout.store):
        paths = [entry.path for entry in os.scandir(folder.path)]
        digests.read(paths)
        for path in paths:
            name = os.path.basename(path)
            if digests.of(path) != folder.name + (name[:-2] if name.endswith(".x") else name):
                _condemn(path)


def _repair(layout: Layout, wanted: Manifest, problems: list[dict[str, Any]]) -> None:
    try:
        releases.assemble(layout, wanted.text, {})
    except AgentError as error:
        if error.code != "incomplete":
            raise
        return
    for problem in problems:
        problem["repaired"] = True
