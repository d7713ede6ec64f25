"""An image's archive without the layers that an engine has: what `docker load` needs to put the image together."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Piece:
    """A file in the archive, and where it lies there."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Archive:
    """An image's archive in dist/."""

    path: Path

    @cached_property
    def _members(self) -> dict[str, Piece]:
        with tarfile.open(self.path) as tar:
            return {member.name: Piece(member.name, member.offset_data, member.size) for member in tar}

    @cached_property
    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._read("manifest.json"))[0]
        return described

    def _read(self, name: str) -> bytes:
        piece = self._members[name]
        with self.path.open("rb") as file:
            file.seek(piece.offset)
            return file.read(piece.size)

    @property
    def identity(self) -> str:
        """The id of the image, without `sha256:`: the hash of its configuration."""
        return Path(self._described["Config"]).name

    @property
    def layers(self) -> list[str]:
        """The sha256 of each layer, the lowest first."""
        return [Path(place).name for place in self._described["Layers"]]

    def label(self, name: str) -> str:
        """Give a label of the image."""
        return str(json.loads(self._read(self._described["Config"]))["config"]["Labels"].get(name, ""))

    def size(self, have: int) -> int:
        """Tell the bytes of the layers that are left when an engine has the first `have`."""
        return sum(piece.size for piece in self._layers(have))

    def stream(self, have: int) -> Iterator[bytes]:
        """Yield a docker-archive with the configuration, and the layers from the `have`-th on."""
        with self.path.open("rb") as file:
            for piece in self._pieces(have):
                member = tarfile.TarInfo(piece.name)
                member.size, member.mode = piece.size, 0o644
                yield member.tobuf(tarfile.USTAR_FORMAT)
                file.seek(piece.offset)
                left = piece.size
                while left:
                    # A file that shrank meanwhile would leave the agent waiting; the engine finds out that it is wrong.
                    chunk = file.read(min(CHUNK, left)) or bytes(min(CHUNK, left))
                    left -= len(chunk)
                    yield chunk
                yield bytes(-piece.size % BLOCK)
        yield END

    def _pieces(self, have: int) -> list[Piece]:
        first = [self._members["manifest.json"], self._members[self._described["Config"]]]
        return [*first, *self._layers(have)]

    def _layers(self, have: int) -> list[Piece]:
        places = list(dict.fromkeys(self._described["Layers"][have:]))
        return [self._members[place] for place in places]
