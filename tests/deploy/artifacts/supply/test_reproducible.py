"""Two builds of one commit are compared, and what differs is named."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.artifacts.supply import compare, reproducible
from deploy.artifacts.supply.__main__ import main
from deploy.artifacts.supply.reproducible import NotReproducible
from deploy.errors import SlipwayError
from tests.support.sample import Sample

WITHOUT = ("rpm", "image")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    """A cache of its own; wheels that the second build's user can read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_same_commit_gives_the_same_bytes(sample: Sample) -> None:
    sample.write("shop/prices.txt", "not committed\n")
    proof = reproducible.verify(sample.root, None, WITHOUT)
    assert proof.compared > 20
    assert {"umask", "time zone", "cache (cold)", "order of files"} <= set(proof.how)
    # packaging/workstation.sh installs it where that may be done.
    assert "clock" in proof.how or os.geteuid() != 0
    assert "uncommitted changes" in proof.left_out
    assert "dirty" not in proof.version


def test_what_depends_on_the_machine_is_found_and_named(
    sample: Sample, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build script that writes a path of the machine into the wheel."""
    sample.write(
        "setup.py",
        "from pathlib import Path\nfrom setuptools import setup\n\n"
        "Path('shop/where.py').write_text(f'DIRECTORY = {str(Path.home())!r}\\n')\nsetup()\n",
    )
    sample.commit()
    monkeypatch.chdir(sample.root)
    assert main(["verify-reproducible", "--without", ",".join(WITHOUT)]) == 1
    said = capsys.readouterr().err
    assert "not reproducible: " in said
    assert "site-packages/shop/" in said
    assert "the builds differed in directory, order of files" in said


def test_needs_a_commit(sample: Sample, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    with pytest.raises(SlipwayError, match="expected a git checkout"):
        reproducible.verify(sample.root, None, WITHOUT)


def archive(path: Path, *members: tuple[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in members:
            made.writestr(zipfile.ZipInfo(name), content)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda p: (p / "a/b.txt").write_text("one\nTWO\n"), "+TWO"),
    "bytes": (lambda p: (p / "a/b.bin").write_bytes(b"\xff\x00\x02"), "second build: 3 bytes, at 2: 02"),
    "mode": (lambda p: (p / "a/b.txt").chmod(0o600), "second build: file of mode 0600"),
    "missing": (lambda p: (p / "a/b.txt").unlink(), "second build: no such file"),
    "extra": (lambda p: (p / "z").write_text(""), "first build: no such file"),
    "link": (lambda p: ((p / "l").unlink(), (p / "l").symlink_to("b")), "second build: link to b"),
    "member": (lambda p: archive(p / "w.whl", ("x.py", "a = 2\n"), ("y.py", "")), "+a = 2"),
    "members": (lambda p: archive(p / "w.whl", ("x.py", "a = 1\n")), "y.py: only in the first build"),
    "order": (lambda p: archive(p / "w.whl", ("y.py", ""), ("x.py", "a = 1\n")), "another order"),
}


@pytest.mark.parametrize(("change", "line"), CASES.values(), ids=CASES)
def test_the_difference_is_shown(tmp_path: Path, change: Callable[[Path], object], line: str) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "a").mkdir(parents=True)
        (folder / "a/b.txt").write_text("one\ntwo\n")
        (folder / "a/b.txt").chmod(0o644)
        (folder / "a/b.bin").write_bytes(b"\xff\x00\x01")
        (folder / "l").symlink_to("a")
        archive(folder / "w.whl", ("x.py", "a = 1\n"), ("y.py", ""))
    assert compare.folders(tmp_path / "one", tmp_path / "two") is None
    change(tmp_path / "two")
    found = compare.folders(tmp_path / "one", tmp_path / "two")
    assert found
    assert any(line in each for each in found.lines), found


def test_files_of_the_tree_come_before_archives_of_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "tree/lib").mkdir(parents=True)
        (tmp_path / name / "a.tar").write_text(name)
        (tmp_path / name / "tree/lib/x.py").write_text(name)
    found = compare.folders(tmp_path / "one", tmp_path / "two")
    assert found
    assert found.path == "tree/lib/x.py"
    assert issubclass(NotReproducible, SlipwayError)
