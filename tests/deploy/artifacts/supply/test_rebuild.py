"""Does a release come from the commit that it names?"""

import json
from pathlib import Path

from deploy.artifacts import build_release
from deploy.artifacts.cache import Cache
from deploy.artifacts.supply.rebuild import differences, rebuild
from tests.support.sample import Sample


def test_a_release_of_a_commit_is_built_again_to_the_byte_whatever_came_after(
    sample: Sample, cache: Cache, tmp_path: Path
) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    sample.edit("shop/cli.py", "print(", "print('-', ")
    sample.commit()
    proof = rebuild(sample.root, built.manifest.text, cache)
    assert (proof.problem, proof.differences) == ("", ())
    assert proof.version == built.version


def test_what_somebody_put_in_is_named(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    data = json.loads(built.manifest.text)
    entry = next(e for e in data["files"] if e["path"].endswith("shop/cli.py"))
    was, entry["sha256"] = entry["sha256"], "0" * 64
    proof = rebuild(sample.root, json.dumps(data), cache)
    assert proof.problem == "1 difference to a build of its commit"
    assert proof.differences == (f"{entry['path']}: sha256 {'0' * 64}, built {was}",)


def test_what_no_commit_has_is_said(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.edit("shop/cli.py", "print(", "print('-', ")
    dirty = build_release(sample.root, None, tmp_path / "dist", cache)
    assert "changes that no commit has" in rebuild(sample.root, dirty.manifest.text, cache).problem


def test_a_commit_that_is_not_here_is_said(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    elsewhere = json.dumps({**built.manifest.data, "commit": "1" * 40})
    assert "commit 111111111111 can't be built here" in rebuild(sample.root, elsewhere, cache).problem


def test_a_tag_that_was_made_since_is_said(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    sample.git("tag", "-a", "v7.0", "-m", "later")
    assert "is 7.0 by now" in rebuild(sample.root, built.manifest.text, cache).problem


def test_files_that_are_on_one_side_only_are_differences() -> None:
    one = {"files": [{"path": "a", "mode": "0644"}, {"path": "b", "link": "x"}], "name": "n"}
    other = {"files": [{"path": "a", "mode": "0755"}, {"path": "c"}], "name": "m"}
    assert differences(one, other) == (
        "a: mode 0644, built 0755", "b: not in the build", "c: only in the build", "name",
    )  # fmt: skip
