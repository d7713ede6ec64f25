"""`assemble`: a release is made out of the store, kept as it is, or put right; whatever was done to it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.agent import manifest, releases, store
from deploy.agent.errors import AgentError, Incomplete
from deploy.agent.layout import Layout
from deploy.agent.receive import Payload, receive
from deploy.agent.releases import Plan, plan_repair
from tests.deploy.agent.kit import CONTRACT, INTERPRETER, Release, manifest_of, small, tar, text_of

SMALL = small()


def stage(layout: Layout, release: Release) -> dict[str, object]:
    missing = store.missing(layout, release.contents)
    payload = tar({name: data for name, data in release.contents.items() if name in missing})
    receive(layout, Payload(io.BytesIO(payload), len(payload)), "identity")
    return releases.assemble(layout, release.text.encode(), {})


def problems(layout: Layout, release: Release) -> list[str]:
    return releases.look(layout, manifest.read(release.text.encode()))


def test_a_release_is_hard_links_into_the_store(layout: Layout) -> None:
    """Files share the store's inodes, with the modes of the manifest less the write bits."""
    assert stage(layout, SMALL) == {
        "version": "1.0",
        "digest": SMALL.digest,
        "linked": 3,
        "repaired": 0,
        "signed_by": None,
    }
    path = layout.release("1.0")
    assert {name: (path / name).read_bytes() for name in SMALL.files} == SMALL.files
    assert (path / "bin/tool").stat().st_mode & 0o7777 == 0o555
    assert (path / "lib/a.py").stat().st_mode & 0o7777 == 0o444
    assert str((path / "bin/python").readlink()) == INTERPRETER
    assert (path / "manifest.json").read_text() == SMALL.text
    assert all((path / name).stat().st_nlink == 2 for name in SMALL.files)
    assert problems(layout, SMALL) == []


def test_a_second_time_there_is_nothing_to_do(layout: Layout) -> None:
    """Nothing is linked, repaired or written."""
    stage(layout, SMALL)
    before = {str(path): path.lstat().st_ctime_ns for path in layout.release("1.0").rglob("*")}
    assert stage(layout, SMALL) == {
        "version": "1.0",
        "digest": SMALL.digest,
        "linked": 0,
        "repaired": 0,
        "signed_by": None,
    }
    assert {str(path): path.lstat().st_ctime_ns for path in layout.release("1.0").rglob("*")} == before


def test_one_content_with_both_modes(layout: Layout) -> None:
    """Hard links share a mode, so the store keeps a twin; `missing` knows either."""
    release = Release("1.0", {"bin/same": b"same", "lib/same": b"same"})
    assert stage(layout, release)["linked"] == 2
    assert problems(layout, release) == []
    assert (layout.release("1.0") / "bin/same").stat().st_mode & 0o777 == 0o555
    assert (layout.release("1.0") / "lib/same").stat().st_mode & 0o777 == 0o444


def test_an_executable_that_becomes_plain_in_the_next_version(layout: Layout) -> None:
    """A content that is there with the other mode needs no sending."""
    stage(layout, Release("1.0", {"bin/x": b"x"}))
    second = Release("2.0", {"lib/x": b"x"})
    assert store.missing(layout, second.contents) == []
    assert stage(layout, second)["linked"] == 1
    assert problems(layout, second) == []
    assert problems(layout, Release("1.0", {"bin/x": b"x"})) == []


def test_an_incomplete_store_is_said_before_anything_is_made(layout: Layout) -> None:
    """The error lists the hashes that are lacking."""
    with pytest.raises(Incomplete) as caught:
        releases.assemble(layout, SMALL.text.encode(), {})
    assert caught.value.fields["missing"] == sorted(SMALL.contents)
    assert not layout.release("1.0").exists()


def _rewrite(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"a = 2\n")


def _swap(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to("/etc")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "removed": lambda root: (root / "lib/a.py").unlink(),
    "written to": lambda root: _rewrite(root / "lib/a.py"),
    "replaced by a copy": lambda root: shutil.copy(root / "bin/tool", root / "lib/a.py.new").rename(root / "lib/a.py"),
    "touched": lambda root: os.utime(root / "lib/a.py"),
    "mode changed": lambda root: (root / "lib/a.py").chmod(0o644),
    "extra file": lambda root: (root / "lib/evil.py").write_text("evil"),
    "extra tree": lambda root: shutil.copytree(root / "lib", root / "more"),
    "link removed": lambda root: (root / "bin/python").unlink(),
    "link moved": lambda root: ((root / "bin/python").unlink(), (root / "bin/python").symlink_to("/bin/false")),
    "file became a folder": lambda root: ((root / "lib/a.py").unlink(), (root / "lib/a.py/x").mkdir(parents=True)),
    "file became a link": lambda root: ((root / "lib/a.py").unlink(), (root / "lib/a.py").symlink_to("/etc/passwd")),
    "folder became a file": lambda root: (shutil.rmtree(root / "lib/deep"), (root / "lib/deep").write_text("x")),
    "folder became a link": lambda root: _swap(root / "lib/deep/b.py"),
    "manifest removed": lambda root: (root / "manifest.json").unlink(),
    "manifest rewritten": lambda root: (
        (root / "manifest.json").chmod(0o644),
        (root / "manifest.json").write_text("{}"),
    ),
    "everything removed": lambda root: [shutil.rmtree(path) for path in root.iterdir() if path.is_dir()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_release_is_noticed_and_put_right(layout: Layout, damage: Callable[[Path], object]) -> None:
    """The cheap look sees it, staging again repairs it, and another time there is nothing to do."""
    stage(layout, SMALL)
    other = SMALL.variant("2.0")
    stage(layout, other)
    root = layout.release("1.0")
    damage(root)
    seen = problems(layout, SMALL) if (root / "manifest.json").exists() else ["manifest.json"]
    assert seen or (root / "manifest.json").read_text() != SMALL.text
    assert int(str(stage(layout, SMALL)["repaired"])) > 0
    assert problems(layout, SMALL) == []
    assert {name: (root / name).read_bytes() for name in SMALL.files} == SMALL.files
    assert stage(layout, SMALL)["repaired"] == 0
    stage(layout, other)
    assert problems(layout, other) == []
    assert Path("/etc/passwd").exists()


def test_another_content_under_a_used_version_is_refused(layout: Layout) -> None:
    """What a generation was made for can't be exchanged below it; what nobody uses can."""
    stage(layout, SMALL)
    other = Release("1.0", {**SMALL.files, "lib/a.py": b"a = 2\n"})
    payload = tar(other.contents)
    receive(layout, Payload(io.BytesIO(payload), len(payload)), "identity")
    with pytest.raises(AgentError) as caught:
        releases.assemble(layout, other.text.encode(), {"1.0": {SMALL.digest}})
    assert caught.value.code == "version-exists"
    assert problems(layout, SMALL) == []
    releases.assemble(layout, other.text.encode(), {"1.0": {other.digest}})
    assert problems(layout, other) == []


def test_a_release_for_another_platform_is_refused_first(layout: Layout) -> None:
    """Nothing is made of it."""
    with pytest.raises(AgentError) as caught:
        releases.assemble(layout, text_of(manifest_of({}, platform="plan9-mips")).encode(), {})
    assert caught.value.code == "wrong-platform"
    assert list(layout.releases.iterdir()) == []


def test_a_release_that_needs_packages_of_the_system_is_refused_where_they_are_not(layout: Layout) -> None:
    """Each that is missing is named, and how it gets there; those that are there are no matter."""
    wanted = {"debian": ["coreutils", "no-such-package"], "redhat": ["no-such-package"]}
    text = text_of(manifest_of({}, contract={**CONTRACT, "system_packages": wanted}))
    with pytest.raises(AgentError) as caught:
        releases.assemble(layout, text.encode(), {})
    assert (caught.value.code, caught.value.fields["expected"]) == ("no-package", "no-such-package")
    assert "install no-such-package" in caught.value.fields["hint"]
    releases.admit(layout, text.encode(), {}, None, python=False)  # an image brings its own


PLANS = {
    "nothing to do": ({"a": 1, "l": "x"}, {"a": 1, "l": "x"}, Plan()),
    "all absent": ({}, {"a": 1, "l": "x"}, Plan(put=("a",), link=("l",))),
    "wrong inode": ({"a": 2, "l": "x"}, {"a": 1, "l": "x"}, Plan(put=("a",))),
    "touched": ({"a": None, "l": "x"}, {"a": 1, "l": "x"}, Plan(put=("a",))),
    "wrong link": ({"a": 1, "l": "y"}, {"a": 1, "l": "x"}, Plan(link=("l",))),
    "extra": ({"a": 1, "l": "x", "z": 3}, {"a": 1, "l": "x"}, Plan(remove=("z",))),
    "the manifest is none": ({"a": 1, "l": "x", "manifest.json": 9}, {"a": 1, "l": "x"}, Plan()),
}


@pytest.mark.parametrize(("found", "right", "expected"), PLANS.values(), ids=PLANS)
def test_the_plan_of_a_repair(found: dict[str, object], right: dict[str, object], expected: Plan) -> None:
    """What is right stays, what is wrong is replaced, what is extra goes."""
    wanted = manifest.Manifest("1", "d", {}, b"", {"a": manifest.File("0" * 64, 0, False)}, {"l": "x"})
    assert plan_repair(wanted, found, right) == expected
