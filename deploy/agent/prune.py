"""Remove what nobody will go back to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from deploy.agent import files, generations, images, releases, rpm, store
from deploy.agent.errors import AgentError
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.supervisors import PROCESSES, WEB, key_of, supervisor_of

Say = Callable[[str], None]


def doomed(known: Iterable[Generation], current: int | None, running: Collection[int], keep: int) -> list[int]:
    """Choose the generations to remove.

    Never what is current or running, nor the `keep` that were activated last; nor what was prepared after `current`: a
    rollout may be at it. What failed its trial and was overtaken goes. Releases that had to be taken back were active
    for a moment, and so was, after each, what they were taken back to: that is why the time counts and not the number.
    """
    known = sorted(known, key=lambda generation: generation.number)
    ran = [generation for generation in known if generation.activated is not None]
    activated = [generation.number for generation in sorted(ran, key=lambda each: each.activated or 0.0)]
    kept = {*running, *(activated[-keep:] if keep else ())}
    return [
        generation.number
        for generation in known
        if generation.number not in kept and current is not None and generation.number < current
    ]


def prune(layout: Layout, keep: int, say: Say) -> dict[str, Any]:
    """Remove old generations, the releases that only they used, and contents that no release links to."""
    running = {process.generation for process in supervisor_of(layout).running()}
    known = generations.load_all(layout)
    removed = []
    for number in doomed(known, generations.current(layout), running, keep):
        with generations.in_use(layout, number, exclusive=True) as free:
            if not free:
                continue
            files.remove_tree(layout.generation(number), tmp=layout.tmp)
        for key in (*(key_of(process, number) for process in (WEB, *PROCESSES)), f"trial-{number}"):
            files.remove(layout.log_file(key))
        removed.append(number)
    used = generations.versions_linked(layout)
    unused = [version for version in releases.versions(layout) if version not in used]
    freed = {version: size for version in unused if (size := _remove(layout, version, say)) is not None}
    return {"generations": removed, "releases": sorted(freed), "bytes": sum(freed.values()) + _sweep_store(layout)}


def _remove(layout: Layout, version: str, say: Say) -> int | None:
    """Remove a release the way it came; give the bytes that it had to itself, None when it has to stay."""
    path, image = layout.release(version), releases.image_of(layout, version)
    size = _own_bytes(path) if image or rpm.owns(layout, version) else 0
    try:
        if image:
            images.forget(layout, version, image)
        elif size:
            rpm.erase(layout, version, say)
    except AgentError as error:
        say(f"release {version} stays: {error.message}")
        return None
    if path.exists():  # also what rpm knows nothing of, as a signature that came later
        files.remove_tree(path, tmp=layout.tmp)
    return size


def _own_bytes(path: Path) -> int:
    entries = (entry.stat(follow_symlinks=False) for entry in releases.walk(str(path)).values())
    return sum(status.st_size for status in entries if status.st_nlink == 1)


def _sweep_store(layout: Layout) -> int:
    freed = 0
    for path, size in store.unreferenced(layout):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
            freed += size
    return freed
