"""The release tree: hard links to unpacked wheels, the interpreter, the manifest; built aside, checked, then renamed.

Hard links, because copying 50 MB costs more than all the rest of a warm build (and reflinks are not for every file
system). The price is that an edit of a file in `dist/` is an edit of the cache. So every file's time is pinned: an
edit shows in one `lstat`, and what was edited is made anew from its wheel before it is used again.
"""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deploy.artifacts import manifest as manifests
from deploy.artifacts.built import is_whole
from deploy.artifacts.files import MTIME, File, write
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.wheels.unpack import Unpacked
from deploy.errors import SlipwayError


class TreeError(SlipwayError):
    """The parts of a release don't fit together."""


def pyvenv(interpreter: Interpreter) -> bytes:
    """Answer what makes `bin/python` use the release's own modules, and no others."""
    lines = (f"home = {Path(interpreter.path).parent}", "include-system-site-packages = false")
    return "".join(f"{line}\n" for line in (*lines, f"version = {interpreter.minor}")).encode()


def files_of(merged: Mapping[str, tuple[Unpacked, File]], own: Mapping[str, bytes]) -> list[File]:
    """List the files of a release: those of wheels, and its own; the manifest is not one of them."""
    written = [File(name, 0o644, len(data), hashlib.sha256(data).hexdigest()) for name, data in own.items()]
    return [*written, *(file for _, file in merged.values())]


def merge(parts: Iterable[Unpacked]) -> dict[str, tuple[Unpacked, File]]:
    """Answer each path of a release and the wheel that brings it; two wheels can't bring different files."""
    merged: dict[str, tuple[Unpacked, File]] = {}
    problems = []
    for part in parts:
        for file in part.files:
            other = merged.setdefault(file.path, (part, file))
            if other[1] != file:
                problems.append(f"{file.path}: from {other[0].name} {other[0].version} and {part.name} {part.version}")
    if problems:
        raise TreeError("two wheels bring different files for one place", problems=tuple(problems[:20]))
    return merged


def links_of(wanted: Mapping[str, str], merged: Mapping[str, tuple[Unpacked, File]]) -> dict[str, str]:
    """Answer where links into the state directory lead, relative to themselves; nothing else may lie in their place."""
    problems = [
        f"links: {path}: the release has {name} there"
        for path in wanted
        for name in merged
        if name == path or name.startswith(f"{path}/") or path.startswith(f"{name}/")
    ]
    if problems:
        raise TreeError(
            "a link into the state directory would hide files of the release", problems=tuple(problems[:20]),
            hint="leave those files out (`exclude`), or link another path",
        )  # fmt: skip
    # From <base>/releases/<version>/ up to <base>, where `state` is on every server (deploy/agent/layout.py).
    return {path: f"{'../' * (path.count('/') + 2)}state/{target}" for path, target in wanted.items()}


def is_complete(path: Path, manifest: Manifest) -> bool:
    """Say whether the release lies there, whole and as it was built: a cheap look at every file."""
    try:
        if (path / manifests.FILE).read_text(encoding="utf-8") != manifest.text:
            return False
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False
    return is_whole(path, manifest)


def build(
    path: Path,
    merged: Mapping[str, tuple[Unpacked, File]],
    own: Mapping[str, bytes],
    manifest: Manifest,
    check: Callable[[Path], None],
) -> None:
    """Make the release at `path` if it passes `check`; what lay there before is replaced."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        scratch.chmod(0o755)
        _fill(scratch, merged)
        for name, data in own.items():
            write(scratch, name, data)
        for entry in manifest.data["files"]:
            if "link" in entry:
                (scratch / entry["path"]).parent.mkdir(parents=True, exist_ok=True)
                (scratch / entry["path"]).symlink_to(entry["link"])
        check(scratch)
        write(scratch, manifests.FILE, manifest.text.encode())
        for folder, _, _ in os.walk(scratch, topdown=False):
            Path(folder).chmod(0o755)
            os.utime(folder, (MTIME, MTIME))
        replace(path, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace(path: Path, scratch: Path) -> None:
    """Put `scratch` where `path` is."""
    aside = Path(f"{scratch}.old")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
    try:
        scratch.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fill(root: Path, merged: Mapping[str, tuple[Unpacked, File]]) -> None:
    made: set[str] = set()
    linking = True
    for name, (part, _) in sorted(merged.items()):
        source, target = f"{part.folder}/{name}", f"{root}/{name}"
        folder = name.rpartition("/")[0]
        if folder not in made:
            os.makedirs(f"{root}/{folder}", exist_ok=True)  # noqa: PTH103 - two thousand times
            made.add(folder)
        if linking:
            try:
                os.link(source, target)
                continue
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
                linking = error.errno == errno.EMLINK
        shutil.copy2(source, target)
