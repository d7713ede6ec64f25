"""A version is setuptools-scm's answer, then the commit, then the content of what is not committed."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.artifacts.source import SourceError, version
from deploy.artifacts.source.git import GitError
from deploy.artifacts.source.version import VersionError
from tests.support.releases import git
from tests.support.sample import Sample


def scm(root: Path) -> str:
    """Ask setuptools-scm itself."""
    done = subprocess.run(
        [sys.executable, "-m", "setuptools_scm"], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def short(sample: Sample, ref: str = "HEAD") -> str:
    return sample.git("rev-parse", ref)[:7]


def test_a_commit_without_tags_counts_from_the_fallback(sample: Sample) -> None:
    assert str(version.current(sample.root)) == f"0.1.1.dev1+g{short(sample)}"


def test_a_tagged_commit_is_the_tag(sample: Sample) -> None:
    sample.git("tag", "v1.4.0")
    assert str(version.current(sample.root)) == "1.4.0"


def test_says_what_setuptools_scm_says(sample: Sample) -> None:
    for tag in ["v1.4", "v1.4.0rc1", "v2.0.dev0", "v1.4.0.post1", "v1.0+local.1"]:
        sample.commit()
        sample.git("tag", tag)
        assert str(version.current(sample.root)) == scm(sample.root)
        sample.commit()
        base = scm(sample.root)
        assert str(version.current(sample.root)) == f"{base}{'.' if '+' in base else '+'}g{short(sample)}"


@pytest.mark.parametrize("tag", ["v1.4.0", None])
def test_says_what_setuptools_scm_says_of_a_changed_tree(sample: Sample, tag: str | None) -> None:
    if tag:
        sample.git("tag", tag)
    sample.change(shop__cli="import sys\n")
    ours = version.current(sample.root)
    assert str(ours).split("+")[0] == scm(sample.root)
    assert ours.dirty
    assert f"+g{short(sample)}.dirty." in str(ours)


def test_a_changed_tree_is_named_by_its_content(sample: Sample) -> None:
    clean = version.current(sample.root)
    sample.change(shop__cli="import sys\n")
    first = version.current(sample.root)
    sample.change(shop__cli="import os\n")
    second = version.current(sample.root)
    sample.change(shop__cli="import sys\n")
    assert len({str(clean), str(first), str(second)}) == 3
    assert version.current(sample.root) == first
    assert version.current(sample.root, "HEAD") == clean


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("shop/new.py", True),  # new and not ignored
        ("shop/local.py", False),  # ignored
        ("shop/prices.txt", True),
        ("pyproject.toml", True),
        ("locks/shop.txt", True),
        ("LICENSE", True),
        ("notes/idea.txt", False),  # not in the wheel
        ("README.md", False),  # nobody names it
    ],
)
def test_only_what_ships_makes_a_tree_dirty(sample: Sample, path: str, dirty: bool) -> None:
    file = sample.root / path
    file.write_text((file.read_text() if file.exists() else "") + "\n# more\n")
    assert version.current(sample.root).dirty is dirty


def test_a_deleted_file_makes_a_tree_dirty(sample: Sample) -> None:
    sample.write("shop/prices.txt", None)
    assert version.current(sample.root).dirty


def test_what_was_changed_and_put_back_is_clean(sample: Sample) -> None:
    sample.write("shop/prices.txt", "pear 4\n")
    sample.git("add", "shop/prices.txt")
    sample.write("shop/prices.txt", "apple 3\n")
    assert not version.current(sample.root).dirty


def test_leaves_index_refs_and_objects_of_the_user_alone(sample: Sample) -> None:
    sample.write("shop/staged.py", "a = 1\n")
    sample.git("add", "shop/staged.py")
    sample.write("shop/prices.txt", "pear 4\n")

    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (sample.root / ".git").rglob("*") if path.is_file()}

    before = state()
    assert version.current(sample.root).dirty
    assert state() == before


def test_the_same_commit_has_the_same_version_in_another_checkout(sample: Sample, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(sample.root), "other")
    assert version.current(tmp_path / "other") == version.current(sample.root)


def test_a_folder_of_a_bigger_repository(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "wheels/.gitignore").write_text("*\n")
    (sample.root / ".git").rename(tmp_path / ".git")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "move")
    clean = version.current(sample.root)
    assert not clean.dirty
    sample.change(shop__cli="import sys\n")
    assert version.current(sample.root).dirty


def test_a_source_tarball_is_named_by_its_content(sample: Sample, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    first = version.current(sample.root)
    assert str(first).startswith("0.1.0+src.")
    (sample.root / "shop/__pycache__").mkdir()
    (sample.root / "shop/__pycache__/cli.pyc").write_bytes(b"x")
    assert version.current(sample.root) == first
    sample.change(shop__cli="import sys\n")
    assert version.current(sample.root) != first


def test_a_tarball_inside_somebody_elses_repository_is_a_tarball(sample: Sample, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    git(tmp_path, "init", "--quiet")
    assert str(version.current(sample.root)).startswith("0.1.0+src.")


def test_a_shallow_clone_is_refused_unless_it_is_at_a_tag(sample: Sample, tmp_path: Path) -> None:
    sample.commit()
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{sample.root}", "shallow")
    with pytest.raises(VersionError, match="shallow clone") as error:
        version.current(tmp_path / "shallow")
    assert "git fetch --unshallow --tags" in (error.value.hint or "")
    git(tmp_path / "shallow", "tag", "v3.0")
    assert str(version.current(tmp_path / "shallow")) == "3.0"


def test_a_checkout_without_commits_is_refused(sample: Sample, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    sample.git("init", "--quiet")
    with pytest.raises(SourceError, match="no commit yet"):
        version.current(sample.root)


def test_an_unknown_ref_is_refused(sample: Sample) -> None:
    with pytest.raises(SourceError, match="no commit, tag or branch 'v9'"):
        version.current(sample.root, "v9")


def test_a_tag_that_is_no_version_is_refused(sample: Sample) -> None:
    sample.git("tag", "release-2")
    with pytest.raises(VersionError, match="'release-2'"):
        version.current(sample.root)


def test_a_machine_without_git_is_told_what_to_install(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitError, match="git is missing"):
        version.current(sample.root)


@pytest.mark.parametrize("old", ['dynamic = ["version"]', 'local_scheme = "no-local-version"'])
def test_settings_that_are_not_understood_are_refused(sample: Sample, old: str) -> None:
    sample.edit("pyproject.toml", old, 'version = "1.0"' if "dynamic" in old else 'version_scheme = "only-version"')
    with pytest.raises(VersionError, match="expected"):
        version.current(sample.root)
