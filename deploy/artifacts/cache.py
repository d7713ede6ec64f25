"""What was built once and need not be built again: one cache per user, each entry named by what it was made of."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import SlipwayError

_KEPT = 30 * 24 * 3600  # seconds that an unused entry stays
_SWEPT = 24 * 3600  # seconds between two looks


class CacheError(SlipwayError):
    """The cache can't be written."""


@dataclass(frozen=True)
class Cache:
    """A folder of folders; each appears complete or not at all."""

    root: Path

    def entry(self, kind: str, key: str) -> Path | None:
        """Answer an entry, and note that it is in use; None when it isn't there."""
        path = self.root / kind / key
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def keys(self, kind: str) -> set[str]:
        """Answer the keys of all entries of a kind."""
        with contextlib.suppress(FileNotFoundError):
            return {path.name for path in (self.root / kind).iterdir()}
        return set()

    @contextlib.contextmanager
    def adding(self, kind: str, key: str) -> Iterator[Path]:
        """Give a folder to fill; at the end it becomes the entry, unless another process was first."""
        final = self.root / kind / key
        scratch = self._scratch()
        try:
            yield scratch
            scratch.chmod(0o755)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.rename(final)
            except OSError:
                if not final.is_dir():  # else the same entry, made by another process meanwhile
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def drop(self, kind: str, key: str) -> None:
        """Forget an entry."""
        path = self.root / kind / key
        aside = self._scratch() / "dropped"
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside)
        shutil.rmtree(aside.parent, ignore_errors=True)

    def sweep(self, now: float | None = None) -> None:
        """Once a day, forget what nobody used for a month."""
        now = time.time() if now is None else now
        stamp = self.root / "swept"
        with contextlib.suppress(FileNotFoundError):
            if now - stamp.stat().st_mtime < _SWEPT:
                return
        for entry in self.root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if now - entry.stat().st_mtime > _KEPT:
                    self.drop(entry.parent.name, entry.name)
        stamp.touch()
        os.utime(stamp, (now, now))

    def _scratch(self) -> Path:
        folder = self.root / "tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=folder))
        except OSError as error:
            raise CacheError(
                f"{self.root}: the cache of built wheels can't be written: {error.strerror}",
                hint="set XDG_CACHE_HOME to a folder that you may write",
            ) from None


def of_user() -> Cache:
    """Answer the cache of this user."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))  # the standard: ignored unless absolute
    return Cache((base if base.is_absolute() else Path.home() / ".cache") / "slipway")


def key(*parts: str) -> str:
    """Name an entry by what it is made of."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_of(*files: Path) -> str:
    """Name the code that makes an entry: changed code makes new entries."""
    return key(*(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
