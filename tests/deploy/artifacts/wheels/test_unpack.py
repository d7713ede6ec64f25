"""A wheel in a release: every file in its place, RECORD true, programs and bytecode at home anywhere."""

import base64
import csv
import hashlib
import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import scripts
from deploy.artifacts.wheels.destination import UnpackError
from deploy.artifacts.wheels.unpack import Unpacked, unpack
from deploy.artifacts.wheels.wheelhouse import Wheel
from tests.support.sample import make_wheel

PACKAGES = "lib/python3.11/site-packages"


def unpacked(path: Path, python: Interpreter, cache: Cache) -> Unpacked:
    return unpack(Wheel(path, digest(path)), python, cache)


def test_what_the_contract_excludes_is_left_out_and_record_does_not_name_it(
    stone: Path, python: Interpreter, cache: Cache
) -> None:
    whole = unpacked(stone, python, cache)
    without = unpack(Wheel(stone, digest(stone)), python, cache, ("stone/*.txt",))
    gone = {file.path for file in whole.files} - {file.path for file in without.files}
    assert gone == {f"{PACKAGES}/stone/size,weight.txt"}
    assert "size,weight" not in (without.folder / PACKAGES / "stone-1.0.dist-info/RECORD").read_text()


@pytest.fixture
def stone(tmp_path: Path) -> Path:
    """A wheel with one of each."""
    return make_wheel(
        tmp_path,
        "stone",
        "1.0",
        {
            "stone/__init__.py": "def hit():\n    raise ValueError('ouch')\n",
            "stone/old.py": "print 'Python 2'\n",
            "stone/size,weight.txt": "3,4\n",
            "stone-1.0.data/scripts/stone-hit": "#!python\nprint('hit')\n",
            "stone-1.0.data/scripts/stone-sh": "#!/bin/sh\necho sh\n",
            "stone-1.0.data/data/share/stone.txt": "shared\n",
            "stone-1.0.data/headers/stone.h": "int stone;\n",
            "stone-1.0.data/purelib/stone/more.py": "MORE = 1\n",
        },
        metadata="Requires-Dist: sand>=1\nRequires-Dist: test; extra == 'dev'\n",
        info={"entry_points.txt": "[console_scripts]\nstone = stone:hit\n"},
    )


def test_every_file_is_in_its_place(stone: Path, python: Interpreter, cache: Cache) -> None:
    result = unpacked(stone, python, cache)
    assert {file.path: f"{file.mode:04o}" for file in result.files} == {
        "bin/stone": "0755",
        "bin/stone-hit": "0755",
        "bin/stone-sh": "0755",
        "share/stone.txt": "0644",
        **{
            f"{PACKAGES}/{name}": "0644"
            for name in (
                "stone/__init__.py",
                "stone/__pycache__/__init__.cpython-311.pyc",
                "stone/__pycache__/more.cpython-311.pyc",
                "stone/more.py",
                "stone/old.py",
                "stone/size,weight.txt",
                "stone-1.0.dist-info/INSTALLER",
                "stone-1.0.dist-info/METADATA",
                "stone-1.0.dist-info/RECORD",
                "stone-1.0.dist-info/WHEEL",
                "stone-1.0.dist-info/entry_points.txt",
            )
        },
    }
    assert (result.name, result.version, result.requires[0]) == ("stone", "1.0", "sand>=1")
    assert list(result.failed) == [f"{PACKAGES}/stone/old.py"]


def test_record_is_true(stone: Path, python: Interpreter, cache: Cache) -> None:
    result = unpacked(stone, python, cache)
    packages = result.folder / PACKAGES
    rows = list(csv.reader((packages / "stone-1.0.dist-info/RECORD").read_text().splitlines()))
    listed = {str((packages / path).resolve().relative_to(result.folder.resolve())) for path, _, _ in rows}
    assert listed == {file.path for file in result.files}
    assert "../../../bin/stone" in {path for path, _, _ in rows}
    for path, hashed, size in rows[:-1]:
        data = (packages / path).read_bytes()
        assert hashed == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert int(size) == len(data)
    assert rows[-1] == ["stone-1.0.dist-info/RECORD", "", ""]
    assert (packages / "stone-1.0.dist-info/INSTALLER").read_text() == "slipway\n"


def test_bytecode_knows_neither_place_nor_time(stone: Path, python: Interpreter, cache: Cache) -> None:
    result = unpacked(stone, python, cache)
    data = (result.folder / PACKAGES / "stone/__pycache__/__init__.cpython-311.pyc").read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 0b01  # hash-based, never compared with the source
    assert marshal.loads(data[16:]).co_filename == f"{PACKAGES}/stone/__init__.py"  # noqa: S302
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import stone; stone.hit()"],
        cwd=result.folder / PACKAGES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f'File "{result.folder.resolve()}/{PACKAGES}/stone/__init__.py", line 2, in hit' in done.stderr


def test_the_same_wheel_is_unpacked_once(stone: Path, python: Interpreter, cache: Cache) -> None:
    first = unpacked(stone, python, cache)
    inode = (first.folder / "bin/stone").stat().st_ino
    assert (unpacked(stone, python, cache).folder / "bin/stone").stat().st_ino == inode


def test_an_altered_wheel_is_refused(stone: Path, python: Interpreter, tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match=r"stone-1\.0-py3-none-any\.whl: .* altered"):
        unpack(Wheel(stone, "0" * 64), python, Cache(tmp_path / "cold"))


@pytest.mark.parametrize(
    "path", ["../../../../outside.py", "stone-1.0.data/data/bin/python", "stone-1.0.data/data/pyvenv.cfg"]
)
def test_a_wheel_cannot_write_elsewhere(python: Interpreter, tmp_path: Path, path: str) -> None:
    wheel = make_wheel(tmp_path, "stone", "1.0", {path: "x = 1\n"})
    with pytest.raises(UnpackError, match="expected a place inside the release"):
        unpacked(wheel, python, Cache(tmp_path / "cold"))


@pytest.mark.parametrize(
    ("old", "new"), [(b"a = 1\n", b"a = 2\n"), (b'"stone.py",', b'"brick.py",'), (b"PK\x01", b"xx\x01")]
)
def test_an_unsound_wheel_is_refused(python: Interpreter, tmp_path: Path, old: bytes, new: bytes) -> None:
    wheel = make_wheel(tmp_path, "stone", "1.0", {"stone.py": "a = 1\n"})
    wheel.write_bytes(wheel.read_bytes().replace(old, new))
    with pytest.raises(UnpackError, match=r"stone-1\.0-py3-none-any\.whl: not a sound wheel"):
        unpacked(wheel, python, Cache(tmp_path / "cold"))


@pytest.mark.parametrize(
    ("first", "rewritten"),
    [
        ("#!python", True),
        ("#!pythonw", True),
        ("#!/usr/bin/env python3", True),
        ("#!/usr/bin/python3.11 -u", True),
        ("#!/bin/sh", False),
        ("print(1)", False),
    ],
)
def test_only_python_scripts_get_our_first_lines(first: str, rewritten: bool) -> None:
    script = f"{first}\nprint(2)\n".encode()
    made = scripts.relocatable(script)
    assert made.endswith(b"print(2)\n")
    assert made.startswith(b"#!/bin/sh\n'''exec'") is rewritten
    assert (made == script) is not rewritten
