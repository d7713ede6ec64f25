"""A clean copy of the selected files: nothing ignored, nothing left over, modes normalised."""

import io
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from deploy.artifacts.source import Source, SourceError


def export(source: Source, into: Path) -> None:
    """Write the selected files of a source into an empty folder."""
    if source.git is None:
        for name in source.paths():
            _copy(source.root / name, into / name)
    else:
        unpack(_archive(source), into)
    _normalise(into, source.epoch)


def _archive(source: Source) -> bytes:
    """Answer the selected files as a tar, whatever the user's settings say about line ends and modes."""
    if source.git is None:
        return b""
    roots = [] if source.selection.is_all else source.selection.roots(source.paths())
    settings = ("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "tar.umask=0022")
    return source.git.run(*settings, "archive", "--format=tar", f"{source.tree}:{source.prefix}", "--", *roots)


def unpack(archive: bytes, into: Path) -> None:
    """Write the members of git's archive, with modes that don't depend on the umask."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = into / member.name
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.issym():
                _link(path, member.linkname, into)
            elif content := tar.extractfile(member):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)
    to.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def _link(path: Path, target: str, root: Path) -> None:
    """Keep a symbolic link, if it stays inside."""
    place = PurePosixPath(os.path.normpath(PurePosixPath(path.relative_to(root).as_posix()).parent / target))
    if PurePosixPath(target).is_absolute() or ".." in place.parts:
        name = path.relative_to(root).as_posix()
        raise SourceError(f"{name}: expected a link that stays inside the repository, got one to {target}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _normalise(root: Path, epoch: int) -> None:
    """Give all files one time and all folders one mode, so that neither umask nor clock gets into a wheel."""
    for folder, _, files in os.walk(root):
        for name in files:
            os.utime(Path(folder) / name, (epoch, epoch), follow_symlinks=False)
        Path(folder).chmod(0o755)
