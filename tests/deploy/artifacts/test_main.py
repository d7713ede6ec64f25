"""`make wheel` and `make release`: plain lines for people, one object for programs."""

import json
from pathlib import Path

import pytest

from deploy.artifacts.__main__ import main
from deploy.artifacts.cache import Cache
from tests.support.sample import Sample


@pytest.fixture(autouse=True)
def _user(cache: Cache, monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    monkeypatch.setattr("deploy.artifacts.cache.of_user", lambda: cache)
    monkeypatch.chdir(sample.root)


def test_says_what_was_built_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("release  0.1.1.dev1+g")
    assert first[1].startswith("  dist/sample-shop-0.1.1.dev1+g")
    assert " files, " in first[2]
    assert main(["release"]) == 0
    assert "already there" in capsys.readouterr().out


def test_wheel_as_json(capsys: pytest.CaptureFixture[str], sample: Sample, tmp_path: Path) -> None:
    sample.git("tag", "v1.0")
    assert main(["wheel", "--ref", "v1.0", "--out", str(tmp_path / "out"), "--json"]) == 0
    fact = json.loads(capsys.readouterr().out)
    assert fact["ok"] is True
    assert (fact["artifact"], fact["version"], fact["built"]) == ("wheel", "1.0", True)
    assert Path(fact["path"]) == tmp_path / "out/sample_shop-1.0-py3-none-any.whl"
    assert Path(fact["path"]).stat().st_size == fact["bytes"]


def test_a_mistake_is_no_traceback(capsys: pytest.CaptureFixture[str], sample: Sample) -> None:
    sample.edit("pyproject.toml", 'python = "3.11"', 'pyton = "3.11"')
    assert main(["release"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("slipway: pyproject.toml has 2 mistakes\n")
    assert "did you mean 'python'?" in said.err
    assert main(["wheel", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["problems"]


def test_a_backend_that_fails_is_heard(capsys: pytest.CaptureFixture[str], sample: Sample) -> None:
    sample.edit("pyproject.toml", 'packages = ["shop", ', 'packages = ["shop", "nowhere", ')
    assert main(["wheel"]) == 2
    said = capsys.readouterr().err
    assert "could not build the wheel of sample-shop" in said
    assert "nowhere" in said


@pytest.mark.parametrize("kind", ["wheel", "release"])
def test_a_folder_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "file").touch()
    assert main([kind, "--out", str(tmp_path / "file")]) == 2
    assert f"{tmp_path}/file: can't be written: File exists" in capsys.readouterr().err
