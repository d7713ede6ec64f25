"""A copy of this repository under another name: what template/project.py makes of our files."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deploy import contract
from tests.support.repository import ROOT, files, named

SCRIPT = ROOT / "template/project.py"
_spec = importlib.util.spec_from_file_location("project", SCRIPT)
assert _spec
assert _spec.loader
project = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(project)

LOCKS = [path.read_text() for path in (ROOT / "packaging/locks").glob("*.txt")]
LONGEST = "abcdefgh-abcdefgh-abcdef"  # 24 characters, as copier.yml allows
KEPT = ("tests/support/ports.py", "app/", "bench/", "setup.py")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str, bool], Path]:
    """Copy as copier does, but for what it leaves out."""

    def copy(name: str, reference: bool) -> Path:
        paths = [p for p in files() if not named(p).startswith(("template/", "tests/template/", "copier.yml"))]
        if not reference:
            paths = [p for p in paths if not named(p).startswith(("tests/", *KEPT))] + [ROOT / KEPT[0]]
        for path in paths:
            to = tmp_path / named(path)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
        listed = [path.relative_to(ROOT) for path in paths]
        project.rename(
            [*listed, *([] if reference else project.start(ROOT / "template/starter", tmp_path))], tmp_path, name
        )
        return tmp_path

    return copy


@pytest.mark.parametrize("name", ["x", "my-shop", LONGEST])
@pytest.mark.parametrize("reference", [True, False])
def test_a_copy_passes_the_linter_whatever_its_name(
    copied: Callable[[str, bool], Path], name: str, reference: bool
) -> None:
    made = copied(name, reference)
    for command in (["check", "--quiet", "--no-cache"], ["format", "--check", "--quiet", "--no-cache"]):
        done = subprocess.run(
            [Path(sys.prefix) / "bin/ruff", *command, "."], cwd=made, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    terms = contract.read(made)
    assert terms.name == name
    left = [path for path in made.rglob("*") if path.is_file() and project.OLD.encode() in path.read_bytes()]
    assert {path.relative_to(made).as_posix().startswith(project.HISTORY) for path in left} <= {True}


def test_a_database_has_no_dash_in_its_name() -> None:
    text = 'DATABASE_URL = "postgresql+psycopg://gazetteer@{db}/gazetteer"; gazetteer_owner; bin/gazetteer; Gazetteer'
    assert project.renamed(text, "my-shop") == (
        'DATABASE_URL = "postgresql+psycopg://my_shop@{db}/my_shop"; my_shop_owner; bin/my-shop; My shop'
    )
    assert project.renamed(text, "gazetteer") == text


@pytest.mark.parametrize(
    "name", ["app", "deploy", "salt", "tests", "packaging", "kiosk", "flask", "gunicorn", "postgres", "haproxy", "root"]
)
def test_a_name_that_something_has_already_is_refused(name: str) -> None:
    with pytest.raises(project.Refused, match=f"the name {name} is taken"):
        project.check(name, LOCKS)


def test_every_folder_of_this_repository_is_taken() -> None:
    folders = {named(path).partition("/")[0] for path in files() if "/" in named(path)}
    assert {name for name in folders if not name.startswith(".")} <= project.TAKEN
    for name in ("my-shop", "x", "gazetteer", LONGEST):
        project.check(name, LOCKS)


def test_without_the_reference_application_only_what_is_about_it_is_missing() -> None:
    ours = (ROOT / "pyproject.toml").read_text()
    made = tomllib.loads(project.pyproject(ours, (ROOT / "template/starter/pyproject.toml").read_text()))
    assert made["dependency-groups"] == tomllib.loads(ours)["dependency-groups"]
    assert made["tool"]["ruff"] == tomllib.loads(ours)["tool"]["ruff"]
    assert made["project"]["dependencies"][0].startswith("flask")
    makefile = project.makefile((ROOT / "Makefile").read_text())
    assert "\ntest: dev" in makefile
    assert "bench" not in makefile
    assert "check-migrations" not in makefile
    for path in (".github/workflows/ci.yml", ".gitlab-ci.yml"):
        text = project.pipeline((ROOT / path).read_text())
        assert "check-migrations" not in text
        assert yaml.safe_load(text)
