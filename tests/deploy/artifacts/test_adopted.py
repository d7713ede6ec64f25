"""Applications that know nothing of Slipway: built in a copy, with a home of its own, by their backend or as is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.agent import furnish
from deploy.artifacts import build_release
from deploy.artifacts.adopted import AdoptionError
from deploy.artifacts.built import ReleaseError, ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.image import layers
from deploy.artifacts.importing import ImportCheckError
from deploy.artifacts.tree import TreeError
from deploy.artifacts.wheel import build_wheel
from tests.support.releases import change, commit, git
from tests.support.repository import ROOT
from tests.support.sample import lock_of, make_wheel

IMAGE_FILES = ROOT / "packaging/image"
CONTRACT = 'name = "shop"\nsource = "../shop"\npython = "3.11"\napp = "shop:app"\n'
TREE = CONTRACT + 'layout = "tree"\n'
PACKAGED = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "Shop"
version = "1.4.dev2"
[tool.setuptools]
py-modules = ["shop"]
"""


@dataclass(frozen=True)
class Adoption:
    """Somebody's application, and beside it the folder with slipway.toml."""

    root: Path
    app: Path
    wheels: Path

    def build(self, terms: str, cache: Cache, **files: str) -> ReleaseTree:
        """Build the release of a contract, with some files of the application changed; `__` stands for a dot."""
        change(self.app, {name.replace("__", "."): text for name, text in files.items()})
        (self.root / "slipway.toml").write_text(terms)
        return build_release(self.root, None, self.root / "dist", cache)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adoption:
    """Make an application of one module in a repository, and a gunicorn that pip finds."""
    made = Adoption(tmp_path / "ours", tmp_path / "shop", tmp_path / "wheels")
    for folder in (made.root, made.app, made.wheels):
        folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.wheels))
    gunicorn = make_wheel(made.wheels, "gunicorn", "27.0.1", {"gunicorn/__init__.py": ""})
    (made.root / "slipway.lock").write_text(lock_of(gunicorn))
    change(made.app, {"shop.py": "COLOUR = 'red'\n", "page.html": "<p>hello\n", ".env": "PASSWORD=oops\n"})
    git(made.app, "init", "--quiet", "--initial-branch", "main")
    commit(made.app, "start")
    return made


def test_files_without_packaging_ship_as_they_are(shop: Adoption, cache: Cache) -> None:
    built = shop.build(TREE, cache)
    assert (built.path / "app/page.html").read_text() == "<p>hello\n"
    assert (built.path / "app/__pycache__/shop.cpython-311.pyc").is_file()
    assert not (built.path / "app/.env").exists(), "what begins with a dot is for tools, and may be a secret"
    commit_ = git(shop.app, "rev-parse", "--short=7", "HEAD")
    assert built.version.startswith(f"0.0+g{commit_}.c")
    assert not shop.build(TREE, cache).built, "the same again"
    other = shop.build(TREE + 'smoke = [{ path = "/" }]\n', cache)
    assert other.version != built.version, "what the contract says is part of a release"
    assert ".dirty." in shop.build(TREE, cache, shop__py="COLOUR = 'blue'\n").version


def test_a_wheel_of_its_own_backend_gets_the_commit_into_its_version(shop: Adoption, cache: Cache) -> None:
    change(shop.app, {"pyproject.toml": PACKAGED})
    commit(shop.app, "package it")
    built = shop.build(CONTRACT, cache)
    assert built.version.startswith("1.4.dev2+g")
    assert (built.path / "lib/python3.11/site-packages/shop.py").is_file()
    _, wheel, _ = build_wheel(shop.root, None, shop.root / "dist", cache)
    assert wheel.name == f"shop-{built.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert f"Version: {built.version}\n" in archive.read(f"shop-{built.version}.dist-info/METADATA").decode()
        assert archive.testzip() is None


def test_what_runs_before_a_build_sees_a_copy_and_no_variable_of_ours(
    shop: Adoption, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "secret")
    command = "echo \"made = '$HOME $MODE [$OUR_TOKEN]'\" > made.py"
    lines = f'build_before = [["sh", "-c", """{command}"""]]\nbuild_env.MODE = "production"\n'
    built = shop.build(TREE + lines, cache)
    made = (built.path / "app/made.py").read_text()
    assert made.endswith("production []'\n")
    assert str(Path.home()) not in made.split()
    assert not (shop.app / "made.py").exists()
    with pytest.raises(AdoptionError) as error:
        shop.build(TREE + 'build_before = [["false"]]\n', cache)
    assert (str(error.value), error.value.problems) == ("build_before: false: exit status 1", ("it said nothing",))


def test_a_dependency_that_nobody_locked_is_refused_when_building(shop: Adoption, cache: Cache) -> None:
    with pytest.raises(ImportCheckError, match="No module named 'nothing_like_this'") as error:
        shop.build(TREE, cache, shop__py="import nothing_like_this\n")
    assert "`requirements` in slipway.toml" in (error.value.hint or "")


def test_an_app_that_misses_its_variables_when_it_is_imported_is_built(shop: Adoption, cache: Cache) -> None:
    assert shop.build(TREE, cache, shop__py="import os\nos.environ['ONLY_ON_SERVERS']\n").built


def test_a_lock_without_what_slipway_toml_asks_for_is_refused(shop: Adoption, cache: Cache) -> None:
    with pytest.raises(ReleaseError, match=r"slipway\.lock is older than slipway\.toml") as error:
        shop.build(TREE + 'requirements = ["requirements.txt", "pebble>=2"]\n', cache, requirements__txt="rock\n")
    assert error.value.problems == ("'rock': slipway.lock has no rock", "'pebble>=2': slipway.lock has no pebble")
    (shop.root / "slipway.lock").write_text("")
    with pytest.raises(ReleaseError) as error:
        shop.build(TREE, cache)
    assert error.value.problems == ("'gunicorn>=20': slipway.lock has no gunicorn",)


def test_what_has_no_packaging_says_how_it_ships(shop: Adoption, cache: Cache) -> None:
    with pytest.raises(AdoptionError) as error:
        shop.build(CONTRACT, cache)
    assert 'layout = "tree"' in (error.value.hint or "")


def test_an_image_lays_out_what_the_agent_would(shop: Adoption, cache: Cache, tmp_path: Path) -> None:
    """Links of the release lead there, and the entrypoint makes folders and files before anything starts."""
    kept = 'links."app/instance" = "instance"\nstate_dirs = ["x/y"]\nconfig_files."etc/a.cfg" = "a"\n'
    built = shop.build(TREE + kept, cache)
    entries = {entry.path: entry for part in layers.split(built.path, IMAGE_FILES) for entry in part}
    link = entries["opt/shop/release/app/instance"].link
    assert link
    assert os.path.normpath(f"/opt/shop/release/app/{link}") == "/opt/state/instance"
    assert entries["opt/state"].link == "/var/lib/shop/state"
    entrypoint = (entries[layers.ENTRYPOINT].data or b"").decode()
    assert "-ISB /usr/local/lib/slipway/furnish.py" in entrypoint.partition("case ")[0]
    assert entries[layers.FURNISH].source == IMAGE_FILES / "furnish.py"

    ours, theirs, file = tmp_path / "in-image", tmp_path / "by-agent", tmp_path / "a.cfg"
    for state in (ours, theirs):
        state.mkdir()
    file.write_text("whole")
    command = [sys.executable, "-ISB", IMAGE_FILES / "furnish.py", built.path / "manifest.json", ours]
    refused = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert (refused.returncode, "expected ETC_A_CFG_FILE: the path" in refused.stderr) == (78, True)
    subprocess.run(command, env={"ETC_A_CFG_FILE": str(file)}, check=True)
    furnish.furnish(theirs, built.manifest.data["contract"], {"ETC_A_CFG_FILE": str(file)})
    found = [{p.relative_to(s): oct(p.stat().st_mode) for p in s.rglob("*")} for s in (ours, theirs)]
    assert found[0] == found[1]
    assert (ours / "etc/a.cfg").read_text() == "whole"


def test_a_link_into_the_state_hides_nothing(shop: Adoption, cache: Cache) -> None:
    built = shop.build(TREE + 'links."app/instance" = "instance"\n', cache)
    assert str((built.path / "app/instance").readlink()) == "../../../state/instance"
    change(shop.app, {"instance/config.py": ""})
    with pytest.raises(TreeError, match="would hide files of the release"):
        shop.build(TREE + 'links."app/instance" = "instance"\n', cache)
