"""The release of the real app: relocatable, nothing of the build machine in it, and only what belongs there."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from deploy import contract
from deploy.artifacts import ReleaseTree, wheel
from deploy.artifacts import cache as caches
from tests.support import releases

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def release() -> ReleaseTree:
    return releases.base()


@pytest.fixture(scope="module")
def moved(release: ReleaseTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release in another place, without any of its hard links."""
    place = tmp_path_factory.mktemp("opt") / "somewhere else"
    shutil.copytree(release.path, place, symlinks=True, ignore=shutil.ignore_patterns("cities*.json"))
    return place


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("bin/python", "-m", "app", "--help"), "Usage:"),
        (("bin/gazetteer", "--help"), "Usage:"),
        (("bin/python", "-m", "gunicorn", "--version"), "gunicorn"),
        (("bin/alembic", "--version"), "alembic"),
        (("bin/python", "-c", "import sys; print(sys.prefix, sys.path)"), "somewhere else"),
    ],
)
def test_runs_from_another_path(moved: Path, command: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [str(moved / command[0]), *command[1:]],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert str(ROOT) not in done.stdout
    assert "dist-packages" not in done.stdout


def test_knows_nothing_of_the_machine_that_built_it(release: ReleaseTree) -> None:
    traces = [str(ROOT), str(caches.of_user().root), str(Path.home() / ".cache"), "slipway-wheel-", "direct_url.json"]
    arguments = [part for trace in traces for part in ("-e", trace)]
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--exclude=cities*.json", *arguments, "."],
        cwd=release.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


def test_dependencies_bring_no_tests_and_no_headers(release: ReleaseTree) -> None:
    packages = release.path / "lib/python3.11/site-packages"
    found = [path for path in packages.rglob("*") if path.suffix in (".h", ".hpp") or path.name == "tests"]
    assert [path for path in found if not path.is_relative_to(packages / "app")] == []


def test_every_module_of_the_app_has_its_bytecode(release: ReleaseTree) -> None:
    app = release.path / "lib/python3.11/site-packages/app"
    modules = {path.relative_to(app).with_suffix("") for path in app.rglob("*.py")}
    compiled = {
        (path.parent.parent / path.name.removesuffix(".cpython-311.pyc")).relative_to(app)
        for path in app.rglob("__pycache__/*.pyc")
    }
    assert modules == compiled


def test_the_wheel_holds_the_app_and_nothing_else(tmp_path: Path) -> None:
    version, path, _ = wheel.build_wheel(ROOT, None, tmp_path, caches.of_user())
    name = contract.read(ROOT).name.replace("-", "_")
    assert path.name == f"{name}-{version}-py3-none-any.whl"
    held = set(zipfile.ZipFile(path).namelist())
    info = f"{name}-{version}.dist-info"
    assert {member.split("/")[0] for member in held} == {"app", info}
    assert {member for member in held if member.startswith(info)} == {
        f"{info}/{file}"
        for file in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
    }
    litter = {"__pycache__", "local.py"}
    there = {
        path.relative_to(ROOT).as_posix().replace(".po", ".mo")  # catalogs are compiled
        for path in (ROOT / "app").rglob("*")
        if path.is_file() and not litter & set(path.parts)
    }
    assert {member for member in held if member.startswith("app/")} == there
    assert "app/translations/de/LC_MESSAGES/messages.mo" in held
    assert "app/migrations/script.py.mako" in held
    modes = {entry.filename: oct(entry.external_attr >> 16) for entry in zipfile.ZipFile(path).infolist()}
    assert modes.pop(f"{info}/RECORD") == "0o100664"  # setuptools' own choice, always the same
    assert set(modes.values()) <= {"0o100644", "0o100755"}


def test_a_variant_shares_all_that_did_not_change(release: ReleaseTree) -> None:
    changed = (ROOT / "app/__main__.py").read_text() + "\nLATER = True\n"
    variant = releases.variant("later", {"app/__main__.py": changed})
    assert variant.version != release.version
    assert releases.variant("later", {"app/__main__.py": changed}).built is False
    one, two = ({e["path"]: e.get("sha256") for e in tree.manifest.data["files"]} for tree in (release, variant))
    differ = {path for path in one.keys() & two.keys() if one[path] != two[path]}
    assert {Path(path).name for path in differ} == {"__main__.py", "__main__.cpython-311.pyc", "sbom.cdx.json"}
