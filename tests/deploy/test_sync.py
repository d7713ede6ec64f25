"""The stream of contents: standard tar, of the announced length, whatever the files are."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import sync


@given(st.lists(st.binary(max_size=3000), max_size=6, unique=True))
def test_any_files_arrive_as_they_were(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    tree = tmp_path_factory.getbasetemp()
    files = {}
    for number, content in enumerate(contents):
        (tree / str(number)).write_bytes(content)
        files[hashlib.sha256(content).hexdigest()] = (str(number), len(content))
    payload = b"".join(sync.stream(tree, files, files))
    assert len(payload) == sync.length(size for _, size in files.values())
    with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
        got = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert {hashlib.sha256(content).hexdigest(): content for content in contents} == got


def test_a_file_that_shrank_meanwhile_still_fills_the_announced_length(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"short")
    files = {"0" * 64: ("a", 2000)}
    assert len(b"".join(sync.stream(tmp_path, files, files))) == sync.length([2000])


def test_a_compressed_stream_is_made_once_and_read_by_many(tmp_path: Path) -> None:
    content = b"the same line again and again\n" * 100_000
    (tmp_path / "a").write_bytes(content)
    files = {"0" * 64: ("a", len(content)), "1" * 64: ("a", len(content))}
    archives = sync.Archives(partial(sync.stream, tmp_path, files))
    (size, first), (_, second) = archives.of(list(files)), archives.of(list(files))
    (tmp_path / "a").unlink()
    packed = next(first)
    assert b"".join(second) == packed + b"".join(first)
    assert size == len(packed) < len(content) / 10
    plain = io.BytesIO(gzip.decompress(packed))
    with tarfile.open(fileobj=plain) as archive:
        assert [(member.name, member.size) for member in archive] == [(name, len(content)) for name in files]
    with pytest.raises(FileNotFoundError):
        archives.of(list(files)[:1])


def test_the_same_content_is_sent_once_and_links_are_not_sent() -> None:
    manifest = {
        "files": [
            {"path": "bin/python", "link": "/usr/bin/python3.11"},
            {"path": "a", "sha256": "1", "size": 3},
            {"path": "b", "sha256": "1", "size": 3},
        ]
    }
    assert sync.contents(manifest) == {"1": ("b", 3)}
