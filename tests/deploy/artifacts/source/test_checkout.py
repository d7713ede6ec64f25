"""What is exported: the selected files of a commit, clean, with normal modes and one time."""

from pathlib import Path

import pytest

from deploy import contract
from deploy.artifacts.source import SourceError, opened
from deploy.artifacts.source.export import export
from deploy.artifacts.source.selection import select
from tests.support.sample import FILES, PYPROJECT, Sample


def exported(sample: Sample, into: Path, ref: str | None = None) -> set[str]:
    into.mkdir()
    with opened(sample.root, ref) as source:
        export(source, into)
    return {path.relative_to(into).as_posix() for path in into.rglob("*") if not path.is_dir()}


SHIPPED = {name for name in FILES if name not in (".gitignore", "notes/idea.txt")} | {"locks/shop.txt"}


def test_only_what_ships_is_exported(sample: Sample, tmp_path: Path) -> None:
    sample.write("shop/local.py", "ignored = 1\n")
    assert exported(sample, tmp_path / "clean") == SHIPPED
    sample.write("shop/new.py", "")
    sample.write("shop/prices.txt", None)
    assert exported(sample, tmp_path / "dirty") == SHIPPED - {"shop/prices.txt"} | {"shop/new.py"}
    assert exported(sample, tmp_path / "head", "HEAD") == SHIPPED


def test_a_source_tarball_is_exported_likewise(sample: Sample, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    (sample.root / "shop/__pycache__").mkdir()
    (sample.root / "shop/__pycache__/cli.cpython-311.pyc").touch()
    assert exported(sample, tmp_path / "out") == SHIPPED


def test_modes_and_times_are_normal(sample: Sample, tmp_path: Path) -> None:
    (sample.root / "shop/cli.py").chmod(0o700)
    (sample.root / "shop/prices.txt").chmod(0o600)
    exported(sample, tmp_path / "out")
    assert (tmp_path / "out/shop/cli.py").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/shop/prices.txt").stat().st_mode & 0o777 == 0o644
    assert {path.stat().st_mtime for path in (tmp_path / "out").rglob("*.py")} == {1767225600}


def test_line_ends_are_those_of_the_commit(sample: Sample, tmp_path: Path) -> None:
    sample.git("config", "core.autocrlf", "true")
    exported(sample, tmp_path / "out", "HEAD")
    assert (tmp_path / "out/shop/prices.txt").read_bytes() == b"apple 3\n"


def test_odd_names_survive(sample: Sample, tmp_path: Path) -> None:
    odd = {"shop/a b*.txt", "shop/ünïcode.txt", "shop/'quoted'.txt", "shop/:(top)x.txt"}
    for name in odd:
        sample.write(name, "x")
    assert exported(sample, tmp_path / "out") == SHIPPED | odd


def test_links_stay_inside(sample: Sample, tmp_path: Path) -> None:
    (sample.root / "shop/link.txt").symlink_to("prices.txt")
    exported(sample, tmp_path / "out")
    assert (tmp_path / "out/shop/link.txt").readlink() == Path("prices.txt")
    (sample.root / "shop/escape.txt").symlink_to("../../secret")
    with pytest.raises(SourceError, match=r"shop/escape\.txt: expected a link that stays inside"):
        exported(sample, tmp_path / "out2")


def test_a_ref_is_built_by_its_own_contract(sample: Sample) -> None:
    sample.edit("pyproject.toml", 'lock = "locks/shop.txt"', "lock = 3")
    with opened(sample.root, "HEAD") as source:
        assert source.contract.lock == "locks/shop.txt"


def test_the_selection_follows_the_contract() -> None:
    text = PYPROJECT.replace('dynamic = ["version"]', 'dynamic = ["version"]\nreadme = "docs/READ.md"')
    text = text.replace('python = "3.11"', 'python = "3.11"\nsources = ["data/rates"]')
    selection = select(contract.parse(text))
    held = (
        "shop/a/b.py",
        "src/shop/a.py",
        "docs/READ.md",
        "data/rates/x.csv",
        "COPYING",
        "setup.cfg",
        "locks/shop.txt",
    )
    assert [path for path in held if not selection.holds(path)] == []
    assert [path for path in ("shopping/a.py", "docs/b.md", "data/x", "tests/a.py") if selection.holds(path)] == []
