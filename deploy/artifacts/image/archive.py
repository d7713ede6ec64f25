"""Write an image: each layer a tar that depends on nothing but its members, all of them in one archive.

The archive is an OCI image layout and a docker-archive at once, as `docker save` writes since version 25: any engine
loads it, and skopeo and podman read it.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deploy.artifacts.files import MTIME, digest
from deploy.artifacts.image.base import Layer
from deploy.artifacts.image.layers import Entry

_INDEX = "index.json"
_MADE_OF = "slipway.made-of"
_TAR = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write_layer(entries: Iterable[Entry], path: Path) -> Layer:
    """Write a layer: one time for all, owners by number, no name of a user in it."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.owner, entry.owner, MTIME
            if entry.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
                tar.addfile(info)
            elif entry.source is not None or entry.data is not None:
                data = entry.data if entry.source is None else entry.source.read_bytes()
                info.size = len(data or b"")
                tar.addfile(info, io.BytesIO(data or b""))
            else:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
    return Layer(path, digest(path))


def write(path: Path, reference: str, config: Mapping[str, Any], layers: tuple[Layer, ...], made_of: str) -> str:
    """Write the archive, and answer the id of the image."""
    text = _json(config)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, text),
            "layers": [
                {"mediaType": _TAR, "digest": f"sha256:{layer.sha256}", "size": layer.path.stat().st_size}
                for layer in layers
            ],
        }
    )
    version = reference.rpartition(":")[2]
    described = {**_descriptor(_MANIFEST, manifest), "annotations": {"org.opencontainers.image.ref.name": version}}
    index = {"schemaVersion": 2, "manifests": [described], "annotations": {_MADE_OF: made_of}}
    docker = [{"Config": _blob(text), "RepoTags": [reference], "Layers": [_place(layer.sha256) for layer in layers]}]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        # First what `made_of` reads: then it need not look further.
        _add(tar, _INDEX, _json(index))
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "manifest.json", _json(docker))
        _add(tar, _blob(manifest), manifest)
        _add(tar, _blob(text), text)
        for layer in {layer.sha256: layer for layer in layers}.values():
            _add(tar, _place(layer.sha256), layer.path)
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def made_of(path: Path) -> str | None:
    """Answer what an archive was made of; None when it isn't there or is none of ours."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
            content = tar.extractfile(first) if first and first.name == _INDEX else None
            return str(json.loads(content.read())["annotations"][_MADE_OF]) if content else None
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError):
        return None


def read(path: Path) -> tuple[str, list[tuple[str, int]]]:
    """Answer the id of the image in an archive, and each layer's sha256 and size."""
    with tarfile.open(path) as tar:
        sizes = {member.name: member.size for member in tar}
        file = tar.extractfile("manifest.json")
        described = json.loads(file.read())[0] if file else {}
    layers = [(Path(place).name, sizes[place]) for place in described["Layers"]]
    return f"sha256:{Path(described['Config']).name}", layers


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o644, MTIME
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        return
    info.size = content.stat().st_size
    with content.open("rb") as file:
        tar.addfile(info, file)


def _json(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }


def _blob(content: bytes) -> str:
    return _place(hashlib.sha256(content).hexdigest())


def _place(sha256: str) -> str:
    return f"blobs/sha256/{sha256}"
