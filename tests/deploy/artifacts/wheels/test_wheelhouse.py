"""Locked wheels are fetched once; what can't be had is explained by the line of the lock that asks for it."""

import io
import tarfile
from pathlib import Path

import pytest

from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import lock, wheelhouse
from deploy.artifacts.wheels.lock import LockError, Pin
from deploy.artifacts.wheels.wheelhouse import WheelhouseError
from tests.support.sample import lock_of, make_wheel


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels: the only place where pip looks."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def pins(text: str, python: Interpreter) -> dict[str, Pin]:
    return lock.for_target(lock.parse(text, "app.txt"), python)


def fetch(text: str, python: Interpreter, cache: Cache) -> list[str]:
    return [wheel.path.name for wheel in wheelhouse.fetch(pins(text, python), "app.txt", python, cache)]


def test_fetches_only_what_is_new(shelf: Path, python: Interpreter, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    sand, rock = (make_wheel(shelf, name, "1.0", {f"{name}.py": ""}) for name in ("sand", "rock"))
    first = lock_of(sand)
    assert fetch(first, python, cache) == ["sand-1.0-py3-none-any.whl"]
    sand.unlink()
    assert fetch(lock_of(rock) + first, python, cache) == ["rock-1.0-py3-none-any.whl", "sand-1.0-py3-none-any.whl"]


def test_a_hash_mismatch_names_the_line(shelf: Path, python: Interpreter, tmp_path: Path) -> None:
    text = "# head\n" + lock_of(make_wheel(shelf, "sand", "1.0", {"sand.py": ""}))
    make_wheel(shelf, "sand", "1.0", {"sand.py": "import evil\n"})
    with pytest.raises(
        WheelhouseError, match=r"^app\.txt:3: sand==1\.0: hash mismatch: the lock expects sha256 \w{64}"
    ):
        fetch(text, python, Cache(tmp_path / "cache"))


@pytest.mark.parametrize("tag", ["cp311-cp311-win_amd64", "cp39-cp39-manylinux_2_17_x86_64"])
def test_a_dependency_without_a_wheel_for_the_target_is_named(
    shelf: Path, python: Interpreter, tmp_path: Path, tag: str
) -> None:
    text = lock_of(make_wheel(shelf, "sand", "1.0", {"sand.py": ""}, tag=tag))
    with pytest.raises(
        WheelhouseError, match=r"^app\.txt:2: sand 1\.0: no wheel for the target \(Python 3\.11, "
    ) as error:
        fetch(text, python, Cache(tmp_path / "cache"))
    assert "pip wheel sand==1.0" in (error.value.hint or "")


def test_without_a_network_it_says_so(
    shelf: Path, python: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = lock_of(make_wheel(shelf, "sand", "1.0", {"sand.py": ""}))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens on the discard port
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(WheelhouseError, match=r"sand 1\.0: not in the cache, and the package index can't be reached"):
        fetch(text, python, Cache(tmp_path / "cache"))


def test_markers_are_those_of_the_target(python: Interpreter) -> None:
    hashed = f" \\\n    --hash=sha256:{'a' * 64}\n"
    text = "".join(
        f"{line}{hashed}"
        for line in (
            "one==1 ; sys_platform == 'linux'",
            "two==1 ; sys_platform == 'win32'",
            "three==1 ; python_version < '3.11'",
            "Four.Five==1 ; python_full_version >= '3.11' and implementation_name == 'cpython'",
        )
    )
    assert list(pins(text, python)) == ["one", "four-five"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sand>=1 --hash=sha256:" + "a" * 64, "app.txt:1: sand: expected an exact version"),
        ("\n# hi\nsand==1\n", "app.txt:3: sand: expected at least one sha256 hash"),
        ("sand==1 --hash=md5:abc", "app.txt:1: sand: expected at least one sha256 hash"),
        ("-r other.txt", "app.txt:1: expected name==version, got '-r other.txt'"),
        ("sand = 1", "app.txt:1: expected name==version"),
    ],
)
def test_a_malformed_lock_names_the_line(text: str, message: str) -> None:
    with pytest.raises(LockError) as error:
        lock.parse(text, "app.txt")
    assert str(error.value).startswith(message)
    assert error.value.hint == "make lock"


BACKEND = """
import os, zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "clay-1.0-py3-none-any.whl"
    head = "Metadata-Version: 2.1\\nName: clay\\nVersion: 1.0\\n"
    files = {
        "clay.py": "",
        "clay-1.0.dist-info/METADATA": head,
        "clay-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{path},,\\n" for path in [*files, "clay-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in {**files, "clay-1.0.dist-info/RECORD": record}.items():
            archive.writestr(path, text)
    return name
"""
SDIST = {
    "clay-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "clay-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: clay\nVersion: 1.0\n",
    "clay-1.0/backend.py": BACKEND,
}


def test_a_dependency_without_any_wheel_is_built_where_the_contract_says_so(
    shelf: Path, python: Interpreter, tmp_path: Path
) -> None:
    path, cache = shelf / "clay-1.0.tar.gz", Cache(tmp_path / "cache")
    with tarfile.open(path, "w:gz") as tar:
        for name, text in SDIST.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    text = f"clay==1.0 --hash=sha256:{digest(path)}\n"
    with pytest.raises(WheelhouseError) as error:
        fetch(text, python, cache)
    assert 'from_source = ["clay"]' in (error.value.hint or "")
    (made,) = wheelhouse.fetch(pins(text, python), "app.txt", python, cache, ("Clay",))
    assert made.path.name == "clay-1.0-py3-none-any.whl"
    path.unlink()
    assert wheelhouse.fetch(pins(text, python), "app.txt", python, cache, ("Clay",)) == [made], "built once"
