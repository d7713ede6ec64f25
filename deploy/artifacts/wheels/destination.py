"""Where PyPA's installer puts the files of a wheel: the layout of a release."""

import base64
import io
import json
import os
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Literal

from installer.destinations import WheelDestination
from installer.records import RecordEntry
from installer.utils import Scheme

from deploy.artifacts.files import File, write
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import scripts
from deploy.errors import SlipwayError

COMPILER = Path(__file__).with_name("compile_bytecode.py")
TREE = "app"  # the folder of a release with the files of an app that has no packaging
RESERVED = {"bin/python", "pyvenv.cfg", "manifest.json", "manifest.json.sig", "sbom.cdx.json"}


class UnpackError(SlipwayError):
    """A wheel can't be put into a release."""


class ReleaseDestination(WheelDestination):
    """Where installer writes: the layout of a release."""

    def __init__(self, root: Path, interpreter: Interpreter, exclude: Iterable[str] = ()) -> None:
        self.root = root
        self.exclude = tuple(exclude)
        self.interpreter = interpreter
        self.files: dict[str, File] = {}
        self.failed: dict[str, str] = {}

    def write_script(self, name: str, module: str, attr: str, section: Literal["console", "gui"]) -> RecordEntry:
        """Write the program of an entry point."""
        return self._write(f"bin/{name}", scripts.entry_point(module, attr), 0o755)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Write a file of the wheel."""
        data, name = stream.read(), os.fspath(path)
        match scheme:
            case "scripts":
                return self._write(f"bin/{name}", scripts.relocatable(data), 0o755)
            case "data":
                return self._write(name, data, 0o755 if is_executable else 0o644)
            case "headers":  # a release compiles nothing
                return RecordEntry(name, None, None)
            case _ if any(fnmatchcase(name, pattern) for pattern in self.exclude):  # the contract says nobody reads it
                return RecordEntry(name, None, None)
            case _:
                place = f"{self.interpreter.site_packages}/{name}"
                return self._write(place, data, 0o755 if is_executable else 0o644)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """Compile, then write RECORD: of what really lies there, bytecode included."""
        self._compile()
        place = f"{self.interpreter.site_packages}/{record_file_path}"
        up = os.path.relpath(".", self.interpreter.site_packages)
        rows = io.StringIO()
        for file in sorted(self.files.values()):
            hashed = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).decode().rstrip("=")
            inside = file.path.startswith(f"{self.interpreter.site_packages}/")
            path = file.path.removeprefix(f"{self.interpreter.site_packages}/") if inside else f"{up}/{file.path}"
            rows.write(f"{_quoted(path)},sha256={hashed},{file.size}\n")
        rows.write(f"{_quoted(record_file_path)},,\n")
        self._write(place, rows.getvalue().encode(), 0o644)

    def _write(self, path: str, data: bytes, mode: int) -> RecordEntry:
        """Write one file; its path has to stay inside, and is written once."""
        place = os.path.normpath(path)
        if place.startswith(("../", "/")) or place in RESERVED:
            raise UnpackError(f"a wheel wants to write {path!r}: expected a place inside the release")
        if place in self.files:
            raise UnpackError(f"a wheel brings {path!r} twice")
        self.files[place] = write(self.root, place, data, mode)
        return RecordEntry(path, None, None)

    def _compile(self) -> None:
        """Compile under the target's interpreter, in a process of its own with a fixed hash seed."""
        places = (f"{self.interpreter.site_packages}/", f"{TREE}/")
        if not any(name.startswith(places) and name.endswith(".py") for name in self.files):
            return
        done = subprocess.run(
            [self.interpreter.path, "-S", "-B", "-s", str(COMPILER), str(self.root)],
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UnpackError("bytecode could not be written", problems=tuple(done.stderr.splitlines()[-5:]))
        self.failed = json.loads(done.stdout)
        for path in (path for place in places for path in (self.root / place).rglob("__pycache__/*.pyc")):
            name = path.relative_to(self.root).as_posix()
            self.files[name] = write(self.root, name, path.read_bytes())


def _quoted(path: str) -> str:
    """Write a path as CSV wants it."""
    return '"' + path.replace('"', '""') + '"' if any(mark in path for mark in ',"\n') else path
