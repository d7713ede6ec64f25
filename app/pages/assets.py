"""Static files, at addresses that change with their content: browsers keep them for a year and never see an old one."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    name: str
    content: bytes = field(repr=False)
    content_type: str
    digest: str


class Assets:
    """All of them, read once: they are few and small."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: _asset(path) for path in sorted(folder.iterdir()) if path.suffix in TYPES}

    def __getitem__(self, name: str) -> Asset:
        return self.files[name]

    def get(self, name: str) -> Asset | None:
        """Return a file, or None."""
        return self.files.get(name)


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(path.name, content, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:12])


def cache_control(asset: Asset, digest: str) -> str:
    """Say how long an answer may be kept.

    Halfway through a rollout a page of the new release may ask the old one for its style: it gets the old one's, and
    must not keep it under that name.
    """
    return "public, max-age=31536000, immutable" if digest == asset.digest else "no-cache"
