"""A release: the same bytes for the same commit, at home in any place, and only looked at when it is there already."""

import errno
import json
import os
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.artifacts import build_release, find_release
from deploy.artifacts.built import ReleaseError
from deploy.artifacts.cache import Cache
from deploy.artifacts.importing import ImportCheckError
from deploy.artifacts.interpreter import Interpreter, InterpreterError
from deploy.artifacts.tree import TreeError
from deploy.artifacts.wheels.lock import LockError
from tests.support.releases import git
from tests.support.sample import Sample, lock_of, make_wheel


def run(path: Path, *arguments: str, **environ: str) -> str:
    """Run a program of a release, somewhere else, and answer what it prints."""
    done = subprocess.run(
        [str(path), *arguments],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_runs_from_any_path(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    moved = tmp_path / "a place/of its own"
    moved.parent.mkdir()
    built.path.rename(moved)
    (tmp_path / "link").symlink_to(moved / "bin/shop")
    assert run(moved / "bin/python", "-m", "shop", "hello") == "shop grey hello"
    assert run(moved / "bin/shop", "two words") == "shop grey two words"
    assert run(tmp_path / "link") == "shop grey"
    assert run(Path("/bin/sh"), "-c", "shop", PATH=f"{moved}/bin:/usr/bin:/bin") == "shop grey"


def test_holds_what_the_manifest_says(sample: Sample, cache: Cache, tmp_path: Path, python: Interpreter) -> None:
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    text = (built.path / "manifest.json").read_text(encoding="ascii")
    data = json.loads(text)
    assert data["name"] == "sample-shop"
    assert data["version"] == built.version == f"0.1.1.dev1+g{data['commit'][:7]}"
    assert data["commit"] == sample.git("rev-parse", "HEAD")
    assert (data["dirty"], data["source_date_epoch"]) == (False, 1767225600)
    assert (data["python"], data["platform"], data["interpreter"]) == ("3.11", python.platform, "/usr/bin/python3.11")
    assert data["distributions"] == {"pebble": "1.2", "sample-shop": built.version}
    assert data["contract"]["commands"] == {"migrate": ["-m", "shop", "migrate"]}
    assert data["migrations"] == [
        {"revision": "0001", "down_revision": None, "kind": "expand", "summary": "Begin."},
        {"revision": "0002", "down_revision": "0001", "kind": "contract", "summary": "Add."},
    ]
    on_disk = sorted(
        path.relative_to(built.path).as_posix()
        for path in built.path.rglob("*")
        if (path.is_file() or path.is_symlink()) and path.name != "manifest.json"
    )
    assert [entry["path"] for entry in data["files"]] == on_disk
    for entry in data["files"]:
        path = built.path / entry["path"]
        if "link" in entry:
            assert entry == {"path": "bin/python", "link": "/usr/bin/python3.11"}
        else:
            assert stat.S_IMODE(path.stat().st_mode) == int(entry["mode"], 8)
            assert path.stat().st_size == entry["size"]
    assert text.endswith("}\n")


def test_the_same_commit_gives_the_same_bytes(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_release(sample.root, None, tmp_path / "dist", Cache(tmp_path / "cache1"))
    git(tmp_path, "clone", "--quiet", str(sample.root), "a clone")
    (tmp_path / "a clone/shop/local.py").write_text("ignored = True\n")
    for path in (tmp_path / "a clone/shop").iterdir():
        path.chmod(0o600 if path.is_file() else 0o700)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    before = os.umask(0o077)
    try:
        second = build_release(tmp_path / "a clone", "HEAD", tmp_path / "dist2", Cache(tmp_path / "cache2"))
    finally:
        os.umask(before)
    assert second.manifest.text == first.manifest.text
    assert second.digest == first.digest


def test_one_changed_line_changes_one_module(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    first = build_release(sample.root, None, tmp_path / "dist", cache)
    sample.edit("shop/cli.py", "print(", "print('-', ")
    sample.commit()
    second = build_release(sample.root, None, tmp_path / "dist", cache)
    one, two = ({e["path"]: e for e in tree.manifest.data["files"]} for tree in (first, second))
    changed = {path for path in one.keys() & two.keys() if one[path] != two[path]}
    packages = "lib/python3.11/site-packages"
    compiled = f"{packages}/shop/__pycache__/cli.cpython-311.pyc"
    assert changed == {f"{packages}/shop/cli.py", compiled, "sbom.cdx.json"}
    assert all("dist-info" in path for path in one.keys() ^ two.keys())
    shared = f"{packages}/pebble.py"
    assert (first.path / shared).samefile(second.path / shared)


def test_what_is_there_is_not_built_again(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    first = build_release(sample.root, None, tmp_path / "dist", cache)
    inode = first.path.stat().st_ino
    second = build_release(sample.root, None, tmp_path / "dist", cache)
    assert (first.built, second.built) == (True, False)
    assert second.path.stat().st_ino == inode
    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == [first.path.name]


@pytest.mark.parametrize("harm", ["edit", "same size", "delete", "mode", "link", "manifest", "manifest says more"])
def test_what_was_harmed_is_made_anew(sample: Sample, cache: Cache, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "dist"
    built = build_release(sample.root, None, out, cache)
    victim = built.path / "lib/python3.11/site-packages/pebble.py"
    match harm:
        case "edit":
            victim.write_text("COLOUR = 'red as blood'\n")  # through the hard link: the cache has it too
        case "same size":
            victim.write_text("COLOUR = 'rose'\n")
        case "delete":
            victim.unlink()
        case "mode":
            victim.chmod(0o777)
        case "link":
            (built.path / "bin/python").unlink()
            (built.path / "bin/python").symlink_to("/usr/bin/python3")
        case "manifest":
            (built.path / "manifest.json").write_text("{}")
        case "manifest says more":
            altered = built.manifest.text.replace('"kind": "contract"', '"kind": "expand"')
            (built.path / "manifest.json").write_text(altered)
    with pytest.raises(ReleaseError, match=r"not as it was built|no release"):
        find_release(out, built.version)
    again = build_release(sample.root, None, out, cache)
    assert again.built
    assert again.digest == built.digest
    assert victim.read_text() == "COLOUR = 'grey'\n"
    assert find_release(out, built.version).digest == built.digest


def test_what_a_killed_build_left_is_swept(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    built = build_release(sample.root, None, out, cache)
    built.path.rename(out / f".{built.path.name}.x1y2z3")
    again = build_release(sample.root, None, out, cache)
    assert [path.name for path in out.iterdir()] == [again.path.name]


def test_two_builders_at_once_agree(sample: Sample, tmp_path: Path) -> None:
    out, cold = tmp_path / "dist", Cache(tmp_path / "cold")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(build_release, sample.root, None, out, cold) for _ in range(2)]
    assert both[0].result().digest == both[1].result().digest
    assert sorted(each.result().built for each in both) == [False, True]


def test_a_cache_on_another_disk_is_copied_from(
    sample: Sample, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    assert find_release(tmp_path / "dist", built.version).digest == built.digest
    assert (built.path / "bin/shop").stat().st_nlink == 1


def test_find_release_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as error:
        find_release(tmp_path, "1.2.3")
    assert str(error.value) == f"no release tree for 1.2.3 in {tmp_path}/"
    assert error.value.hint == "make release"


def test_needs_no_network_once_the_cache_is_warm(
    sample: Sample, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_release(sample.root, None, tmp_path / "dist", cache)
    shutil.rmtree(sample.wheels)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    sample.write("shop/prices.txt", "pear 4\n")
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    assert built.manifest.data["dirty"] is True


def test_a_release_that_does_not_import_is_not_offered(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.edit("shop/cli.py", "import pebble", "import pebbles")
    with pytest.raises(ImportCheckError, match="No module named 'pebbles'") as error:
        build_release(sample.root, None, tmp_path / "dist", cache)
    assert any("shop/cli.py" in line for line in error.value.problems)
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_missing_served_module_is_found(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.write("shop/wsgi.py", None)
    with pytest.raises(ImportCheckError, match=r"No module named 'shop\.wsgi'"):
        build_release(sample.root, None, tmp_path / "dist", cache)


def test_a_module_that_is_no_python_is_named(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.write("shop/odd.py", "a = 1\ndef broken(:\n")
    with pytest.raises(ReleaseError, match="1 module does not compile") as error:
        build_release(sample.root, None, tmp_path / "dist", cache)
    assert error.value.problems == ("shop/odd.py:2: invalid syntax",)


def test_a_lock_older_than_pyproject_is_refused(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.edit("pyproject.toml", '"pebble>=1"', '"pebble>=2", "gravel"')
    with pytest.raises(LockError, match=r"locks/shop\.txt is older than pyproject\.toml") as error:
        build_release(sample.root, None, tmp_path / "dist", cache)
    assert error.value.hint == "make lock"
    assert error.value.problems == (
        "pyproject.toml:8:17: 'pebble>=2': locks/shop.txt has pebble 1.2",
        "pyproject.toml:8:30: 'gravel': locks/shop.txt has no gravel",
    )


def test_a_lock_that_lacks_what_a_dependency_needs_is_refused(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    wheel = make_wheel(sample.wheels, "pebble", "1.3", {"pebble.py": ""}, metadata="Requires-Dist: sand>=2\n")
    sample.write("locks/shop.txt", lock_of(wheel))
    with pytest.raises(ReleaseError, match="lacks what its own packages need") as error:
        build_release(sample.root, None, tmp_path / "dist", cache)
    assert error.value.problems == ("pebble 1.3 needs sand>=2: locks/shop.txt has no sand",)


def test_a_missing_lock_is_refused(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.write("locks/shop.txt", None)
    with pytest.raises(ReleaseError, match="expected the lock file"):
        build_release(sample.root, None, tmp_path / "dist", cache)


def test_two_wheels_with_one_file_are_refused(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    pebble = sample.wheels / "pebble-1.2-py3-none-any.whl"
    gravel = make_wheel(sample.wheels, "gravel", "1.0", {"pebble.py": "COLOUR = 'brown'\n"})
    sample.write("locks/shop.txt", lock_of(pebble, gravel))
    with pytest.raises(TreeError, match="different files for one place") as error:
        build_release(sample.root, None, tmp_path / "dist", cache)
    assert "pebble.py: from pebble 1.2 and gravel 1.0" in error.value.problems[-1]


def test_dependencies_bring_no_tests_and_no_headers(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    """Two that both have a package `tests` would be in each other's way; the app's own folder of that name stays."""
    unread = {"{0}/tests/test_it.py": "", "{0}/it.h": ""}
    wheels = [next(sample.wheels.glob("pebble*"))]
    for name in ("chisel", "hammer"):
        files = {"{0}/__init__.py": "", "{0}/it.py": f"# {name}\n", **unread, "tests/__init__.py": f"# {name}\n"}
        named = {path.format(name): text for path, text in files.items()}
        wheels.append(make_wheel(sample.wheels, name, "1.0", named))
    sample.write("locks/shop.txt", lock_of(*wheels))
    sample.edit("pyproject.toml", '["pebble>=1"]', '["pebble>=1", "chisel", "hammer"]')
    sample.edit("pyproject.toml", '"shop.migrations"]', '"shop.migrations", "shop.tests"]')
    sample.write("shop/tests/__init__.py", "")
    tree = build_release(sample.root, None, tmp_path, cache)
    start = "lib/python3.11/site-packages/"
    there = {e["path"].removeprefix(start) for e in tree.manifest.data["files"] if e["path"].startswith(start)}
    assert {path for path in there if path.startswith(("chisel/", "tests/"))} == {
        "chisel/__init__.py",
        "chisel/it.py",
        "chisel/__pycache__/__init__.cpython-311.pyc",
        "chisel/__pycache__/it.cpython-311.pyc",
    }
    assert "shop/tests/__init__.py" in there


def test_a_wrong_python_is_refused(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.edit("pyproject.toml", 'python = "3.11"', 'python = "3.99"')
    with pytest.raises(InterpreterError, match=r"/usr/bin/python3\.99 is missing"):
        build_release(sample.root, None, tmp_path / "dist", cache)


def test_builds_a_source_tarball(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    (sample.root / ".git").rename(tmp_path / "gone")
    built = build_release(sample.root, None, tmp_path / "dist", cache)
    assert built.version.startswith("0.1.0+src.")
    assert built.manifest.data["commit"] == "0" * 40
    assert run(built.path / "bin/shop") == "shop grey"


def test_builds_another_commit_than_the_one_that_is_checked_out(sample: Sample, cache: Cache, tmp_path: Path) -> None:
    sample.git("tag", "v1.0")
    sample.edit("shop/cli.py", "'shop'", "'new shop'")
    sample.commit()
    old = build_release(sample.root, "v1.0", tmp_path / "dist", cache)
    new = build_release(sample.root, None, tmp_path / "dist", cache)
    assert old.version == "1.0"
    assert run(old.path / "bin/shop") == "shop grey"
    assert run(new.path / "bin/shop") == "new shop grey"
