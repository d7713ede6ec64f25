"""`receive`: a tar stream from outside becomes contents in the store, or nothing does."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.agent import receive as receiving
from deploy.agent import store
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.receive import Payload, receive
from tests.deploy.agent.kit import Caller, sha256, tar, tree

CONTENTS = {sha256(data): data for data in (b"one", b"", b"x" * 3000, bytes(512))}


def take(layout: Layout, payload: bytes, encoding: str = "identity", length: int | None = None) -> dict[str, int]:
    return receive(layout, Payload(io.BytesIO(payload), len(payload) if length is None else length), encoding)


def stored(layout: Layout) -> set[str]:
    return {path.parent.name + path.name for path in layout.store.rglob("*") if path.is_file()}


def member(name: str, data: bytes = b"", **attributes: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for key, value in attributes.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_contents_arrive(layout: Layout, encoding: str) -> None:
    """Each content is in the store with pinned mtime and mode, and nothing is left elsewhere."""
    payload = tar(CONTENTS)
    sent = gzip.compress(payload) if encoding == "gzip" else payload
    assert take(layout, sent, encoding) == {"files": 4, "bytes": sum(map(len, CONTENTS.values()))}
    assert store.missing(layout, CONTENTS) == []
    for name, data in CONTENTS.items():
        path = layout.store / name[:2] / name[2:]
        assert path.read_bytes() == data
        assert (path.stat().st_mode & 0o7777, path.stat().st_mtime) == (0o444, store.PINNED)
    assert list(layout.tmp.iterdir()) == []


def test_contents_that_are_there_stay(layout: Layout) -> None:
    """Sending again replaces nothing: releases keep sharing the inode."""
    take(layout, tar(CONTENTS))
    before = {path: path.stat().st_ino for path in layout.store.rglob("*")}
    take(layout, tar(CONTENTS))
    assert {path: path.stat().st_ino for path in layout.store.rglob("*")} == before


def test_an_empty_archive_is_fine(layout: Layout) -> None:
    """Nothing missing, nothing sent."""
    assert take(layout, tar({})) == {"files": 0, "bytes": 0}
    assert take(layout, b"") == {"files": 0, "bytes": 0}


NAME = sha256(b"one")
REFUSED = {
    "hash mismatch": (member(NAME, b"two"), "hash-mismatch"),
    "path": (member("../../etc/passwd", b"x"), "bad-payload"),
    "upper case": (member(NAME.upper(), b"one"), "bad-payload"),
    "symbolic link": (member(NAME, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "bad-payload"),
    "hard link": (member(NAME, type=tarfile.LNKTYPE, linkname="/etc/passwd"), "bad-payload"),
    "device": (member(NAME, type=tarfile.CHRTYPE), "bad-payload"),
    "folder": (member(NAME, type=tarfile.DIRTYPE), "bad-payload"),
    "prefix": (member("a/" * 30 + "b" * 90, b"x"), "bad-payload"),
    "text": (b"hello, this is no tar" * 100, "bad-payload"),
    "wrong checksum": (member(NAME, b"one").replace(b"0000644", b"0000777", 1), "bad-payload"),
    "cut in a header": (member(NAME, b"one")[:300], "bad-payload"),
    "cut in a file": (member(NAME, b"one")[:514], "bad-payload"),
    "cut in padding": (member(NAME, b"one")[:600], "bad-payload"),
}


@pytest.mark.parametrize(("payload", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_content_is_refused(layout: Layout, payload: bytes, code: str) -> None:
    """Nothing of a refused file is kept; what was whole before it is."""
    good = tar({sha256(b"good"): b"good"})[:1024]
    with pytest.raises(AgentError) as caught:
        take(layout, good + payload)
    assert caught.value.code == code
    assert stored(layout) == {sha256(b"good")}
    assert list(layout.tmp.iterdir()) == []


def test_a_stream_that_ends_early(layout: Layout) -> None:
    """The error says that bytes are missing, not that the tar is odd."""
    payload = tar(CONTENTS)
    with pytest.raises(AgentError) as caught:
        take(layout, payload[:2000], length=len(payload))
    assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    "payload", [b"no gzip at all", gzip.compress(tar(CONTENTS))[:-20], gzip.compress(b"", mtime=0)[:5]]
)
def test_broken_gzip(layout: Layout, payload: bytes) -> None:
    """Broken compression is an error of the payload; an archive cut short keeps what was whole."""
    with pytest.raises(AgentError) as caught:
        take(layout, payload, "gzip")
    assert caught.value.code == "bad-payload"
    assert stored(layout) <= set(CONTENTS)


def test_a_file_that_does_not_fit(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is refused by its declared size, before a byte of it is written; a bomb can't unpack to more than that."""
    monkeypatch.setattr(receiving, "RESERVE", 1 << 60)
    with pytest.raises(AgentError) as caught:
        take(layout, tar(CONTENTS))
    assert caught.value.code == "disk-full"
    assert stored(layout) == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_stream_never_gets_a_wrong_file_in(layout: Layout, data: st.DataObject) -> None:
    """Whatever happens to the bytes on the way: only errors with a code, only right contents, nothing elsewhere."""
    payload = bytearray(tar(CONTENTS))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    outside = tree(layout.base, but=["store"])
    with contextlib.suppress(AgentError):
        take(layout, bytes(payload[:cut]))
    assert tree(layout.base, but=["store"]) == outside
    for path in layout.store.rglob("*"):
        if path.is_file():
            assert sha256(path.read_bytes()) == path.parent.name + path.name
            path.unlink()


def test_a_session_goes_on_after_a_bad_payload(agent: Caller) -> None:
    """The payload is read to its end even when refused, so the next request is understood."""
    bad, good = member(NAME, b"two") * 3, tar({NAME: b"one"})
    lines = b""
    for number, (request, payload) in enumerate(
        [
            ({"verb": "receive", "length": len(bad)}, bad),
            ({"verb": "receive", "encoding": "zip", "length": len(good)}, good),
            ({"verb": "receive", "length": len(good)}, good),
            ({"verb": "missing", "hashes": [NAME]}, b""),
        ]
    ):
        lines += json.dumps({"id": number, **request}).encode() + b"\n" + payload
    import subprocess

    done = subprocess.run(agent.argv("session"), input=lines, capture_output=True, timeout=30, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
    assert [answer["ok"] for answer in answers] == [False, False, True, True]
    assert answers[1]["error"]["code"] == "bad-argument"
    assert answers[3]["result"] == {"missing": []}


def test_a_touched_content_is_missing(layout: Layout) -> None:
    """A write, a change of mode or a folder in its place: it must be sent again, and sending puts it right."""
    take(layout, tar(CONTENTS))
    paths = [layout.store / name[:2] / name[2:] for name in CONTENTS]
    paths[0].chmod(0o644)
    paths[0].write_bytes(b"0ne")
    paths[1].chmod(0o666)
    paths[2].unlink()
    assert set(store.missing(layout, CONTENTS)) == set(list(CONTENTS)[:3])
    take(layout, tar(CONTENTS))
    assert store.missing(layout, CONTENTS) == []
    assert all(Path(path).stat().st_mtime == store.PINNED for path in paths)
