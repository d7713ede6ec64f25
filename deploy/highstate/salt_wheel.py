"""Salt's wheel: the package index has only its source, so it is built once and kept per user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.files import MTIME, digest
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels.lock import Pin
from deploy.artifacts.wheels.wheelhouse import Wheel
from deploy.errors import SlipwayError

_KIND = "salt-wheels"


class SaltWheelError(SlipwayError):
    """Salt's wheel can't be built."""


def build(pin: Pin, lock: str, python: Interpreter, cache: Cache) -> Wheel:
    """Answer the wheel of the locked Salt; the source is downloaded, checked and built only the first time.

    Without build isolation: what builds it is the operator's own setuptools, which is locked too.
    """
    made_of = key(pin.text, python.minor, code_of(Path(__file__)))
    if cache.entry(_KIND, made_of) is None:
        with tempfile.TemporaryDirectory(prefix="slipway-salt-") as scratch:
            built = _build(pin, lock, Path(scratch))
            with cache.adding(_KIND, made_of) as folder:
                shutil.copyfile(built, folder / built.name)
    path = next((cache.root / _KIND / made_of).glob("*.whl"))
    return Wheel(path, digest(path))


def _build(pin: Pin, lock: str, scratch: Path) -> Path:
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{pin.text}\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "wheel", "--progress-bar=off"),
        *("--no-deps", "--no-build-isolation", "--no-cache-dir", "--require-hashes", "--no-binary", pin.name),
        *("--wheel-dir", str(scratch), "--requirement", str(wanted)),
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(MTIME), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = list(scratch.glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise SaltWheelError(
            f"{lock}:{pin.line}: {pin.name} {pin.version}: expected pip to build its wheel; it ended with "
            f"{done.returncode}",
            problems=tuple(line[:200] for line in said[-8:]),
            hint="connect this machine once, or give pip a local index; then make salt-bundle",
        )
    return found[0]
