"""`verify`: every byte is read, and what is damaged is sent again by the next deploy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import store
from deploy.agent.layout import Layout
from tests.deploy.agent.kit import AgentFailure, call, receive_request, sha256, small

ONE = small()
TWO = ONE.variant("2.0")
CONTENT = sha256(ONE.files["lib/a.py"])


@pytest.fixture
def staged(layout: Layout) -> Layout:
    """Give a server with two releases that share most files."""
    for release in (ONE, TWO):
        call(layout, **receive_request(release))
        call(layout, "assemble", manifest=release.text)
    return layout


def rot(path: Path) -> None:
    """Change bytes as a disk does: same size, same mtime, same mode, same inode."""
    path.chmod(0o644)
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    path.chmod(store.PLAIN)
    os.utime(path, ns=store.PINNED_NS)


def problems(layout: Layout, **arguments: Any) -> dict[str, list[dict[str, Any]]]:
    return {r["version"]: r["problems"] for r in call(layout, "verify", **arguments)["releases"]}


def complete(layout: Layout) -> dict[str, bool]:
    return {release["version"]: release["complete"] for release in call(layout, "status")["releases"]}


def test_whole_releases_have_no_problems(staged: Layout) -> None:
    """And verifying changes nothing."""
    found = call(staged, "verify")["releases"]
    assert [(r["version"], r["digest"], r["files"], r["problems"]) for r in found] == [
        ("1.0", ONE.digest, 3, []), ("2.0", TWO.digest, 4, []),
    ]  # fmt: skip
    assert complete(staged) == {"1.0": True, "2.0": True}


def test_silent_damage_is_found_and_repaired_by_the_next_deploy(staged: Layout) -> None:
    """The cheap look can't see it; after `verify` it does, in each release that shares the bytes."""
    rot(staged.release("1.0") / "lib/a.py")
    assert complete(staged) == {"1.0": True, "2.0": True}
    found = problems(staged)
    expected = {"path": "lib/a.py", "expected": CONTENT, "got": sha256(rotten())}
    assert found == {"1.0": [expected], "2.0": [expected]}
    assert complete(staged) == {"1.0": False, "2.0": False}
    assert call(staged, "missing", hashes=sorted(ONE.contents))["missing"] == [CONTENT]
    with pytest.raises(AgentFailure, match="incomplete"):
        call(staged, "assemble", manifest=ONE.text)
    call(staged, **receive_request(ONE))
    for release in (ONE, TWO):
        assert call(staged, "assemble", manifest=release.text)["repaired"] == 1
    assert complete(staged) == {"1.0": True, "2.0": True}
    assert problems(staged) == {"1.0": [], "2.0": []}


def rotten() -> bytes:
    return bytes(byte ^ 1 for byte in ONE.files["lib/a.py"])


def test_damage_in_the_store_alone(staged: Layout) -> None:
    """A content that no release uses any more, or a copy beside it, is forgotten."""
    path = staged.store / CONTENT[:2] / CONTENT[2:]
    release = staged.release("1.0") / "lib/a.py"
    copy = release.read_bytes()
    release.unlink()
    release.write_bytes(copy)
    os.utime(release, ns=store.PINNED_NS)
    release.chmod(store.PLAIN)
    rot(path)
    assert problems(staged)["1.0"] == []
    assert not path.exists()
    assert call(staged, "missing", hashes=[CONTENT])["missing"] == [CONTENT]


def test_a_replaced_file_can_be_repaired_at_once(staged: Layout) -> None:
    """With `repair`, what the store still has whole is linked again."""
    path = staged.release("1.0") / "lib/a.py"
    path.unlink()
    path.write_text("evil\n")
    (staged.release("1.0") / "extra.py").write_text("evil")
    assert [p["path"] for p in problems(staged, version="1.0")["1.0"]] == ["extra.py", "lib/a.py"]
    [release] = call(staged, "verify", version="1.0", repair=True)["releases"]
    assert all(problem["repaired"] for problem in release["problems"])
    assert problems(staged) == {"1.0": [], "2.0": []}
    assert complete(staged) == {"1.0": True, "2.0": True}


DAMAGE = {
    "touched": (lambda root: os.utime(root / "lib/a.py"), "lib/a.py", "mtime"),
    "mode": (lambda root: (root / "lib/a.py").chmod(0o600), "lib/a.py", "0600"),
    "absent": (lambda root: (root / "lib/a.py").unlink(), "lib/a.py", "no such file"),
    "link": (lambda root: (root / "bin/python").unlink(), "bin/python", "no such link"),
    "extra": (lambda root: (root / "x").touch(), "x", "not in the manifest"),
    "manifest": (lambda root: (root / "manifest.json").unlink(), "manifest.json", "no release"),
}


@pytest.mark.parametrize(("damage", "path", "got"), DAMAGE.values(), ids=DAMAGE)
def test_every_kind_of_damage_is_named(staged: Layout, damage: Any, path: str, got: str) -> None:
    """Path, what was expected, what is there."""
    damage(staged.release("1.0"))
    [problem] = problems(staged)["1.0"]
    assert problem["path"] == path
    assert got in problem["got"]
    assert problem["expected"]


def test_a_tampered_manifest(staged: Layout) -> None:
    """A manifest that is not the one a generation was made for shows, and can't be activated."""
    call(staged, "prepare", generation=1, version="1.0", digest=ONE.digest, variables={}, secrets={})
    path = staged.release("1.0") / "manifest.json"
    path.chmod(0o644)
    path.write_text(ONE.text.replace('"tiny"', '"tinY"'))
    [problem] = problems(staged, version="1.0")["1.0"]
    assert (problem["path"], problem["expected"]) == ("manifest.json", ONE.digest)
    with pytest.raises(AgentFailure) as caught:
        call(staged, "trial", generation=1)
    assert caught.value.code == "tampered"
    assert call(staged, "assemble", manifest=ONE.text)["repaired"] == 1
    assert problems(staged, version="1.0")["1.0"] == []


def test_an_unknown_version(staged: Layout) -> None:
    """It is an error, not an empty answer."""
    with pytest.raises(AgentFailure, match="no-release"):
        call(staged, "verify", version="9.9")
