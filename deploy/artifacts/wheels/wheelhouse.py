"""The wheels of the locked dependencies: downloaded once by pip, checked against their hashes, kept per user."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from deploy.artifacts.cache import Cache, key
from deploy.artifacts.files import MTIME, digest
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import floor
from deploy.artifacts.wheels.lock import Pin
from deploy.errors import SlipwayError

_NO_NETWORK = re.compile(
    r"Failed to establish a new connection|NewConnectionError|NameResolutionError|Temporary failure in name resolution"
    r"|Network is unreachable|Connection refused|ConnectTimeout|connection timed out|ProxyError|Could not connect",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"(?:No matching distribution found for|satisfies the requirement) (?P<what>[^\s(]+)")
_MISMATCH = re.compile(
    r"DO NOT MATCH THE HASHES.*?\n\s+(?P<what>\S+) from .*?\n.*?Expected sha256\s+(?P<expected>\w+)"
    r".*?Got\s+(?P<got>\w+)",
    re.DOTALL,
)

_REQUIRES = re.compile(r"Package '(?P<what>[^']+)' requires a different Python: \S+ not in '(?P<wanted>[^']+)'")
_OTHER_PYTHON = re.compile(r"Ignored the following versions that require a different python version: .*")


class WheelhouseError(SlipwayError):
    """A locked dependency can't be had."""


@dataclass(frozen=True)
class Wheel:
    """A wheel, known by its content."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """Answer the normalised name of the distribution."""
        return str(parse_wheel_filename(self.path.name)[0])


def fetch(
    pins: dict[str, Pin], lock: str, interpreter: Interpreter, cache: Cache, from_source: tuple[str, ...] = ()
) -> list[Wheel]:
    """Answer the wheel of each pin; only those that were never fetched touch the network.

    Those named in `from_source` are published without a wheel: one is built here, of the source that the lock's hash
    vouches for.
    """
    missing = [pin for pin in pins.values() if _cached(pin, interpreter, cache) is None]
    for pin in [pin for pin in missing if pin.name in {canonicalize_name(name) for name in from_source}]:
        _build(pin, lock, interpreter, cache)
        missing.remove(pin)
    if missing:
        with tempfile.TemporaryDirectory(prefix="slipway-wheels-") as scratch:
            _download(missing, lock, interpreter, Path(scratch))
            for path in Path(scratch).glob("*.whl"):
                _keep(path, pins, interpreter, cache)
    wheels = [_cached(pin, interpreter, cache) for pin in pins.values()]
    if lacking := [pin.name for pin, wheel in zip(pins.values(), wheels, strict=True) if wheel is None]:
        raise WheelhouseError(f"{lock}: pip downloaded no wheel of {', '.join(lacking)}, and did not say why")
    return [wheel for wheel in wheels if wheel is not None]


def _kind(interpreter: Interpreter) -> str:
    return f"wheels-{interpreter.tag}-{interpreter.platform}-{interpreter.libc}"


def _cached(pin: Pin, interpreter: Interpreter, cache: Cache) -> Wheel | None:
    """Answer the wheel that an earlier build fetched for this target."""
    kind = _kind(interpreter)
    for sha256 in sorted(pin.hashes & cache.keys(kind)):
        entry = cache.entry(kind, sha256)
        if entry and (files := list(entry.glob("*.whl"))):
            return Wheel(files[0], sha256)
    entry = cache.entry(f"built-{kind}", _of_source(pin))
    if entry and (files := list(entry.glob("*.whl"))):
        return Wheel(files[0], digest(files[0]))
    return None


def _of_source(pin: Pin) -> str:
    return key(pin.name, pin.version, *sorted(pin.hashes))


def _build(pin: Pin, lock: str, interpreter: Interpreter, cache: Cache) -> None:
    """Let pip build a wheel of a source distribution that has one of the lock's hashes."""
    with tempfile.TemporaryDirectory(prefix="slipway-wheels-") as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{pin.text}\n")
        command = [
            *(sys.executable, "-m", "pip", "--python", interpreter.path, "--no-input", "--disable-pip-version-check"),
            *("wheel", "--require-hashes", "--no-deps", "--no-binary", pin.name, "--progress-bar=off"),
            *("--wheel-dir", scratch, "--requirement", str(wanted)),
        ]
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(MTIME), "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environ
        )
        built = list(Path(scratch).glob("*.whl"))
        if done.returncode or not built:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise WheelhouseError(
                f"{lock}:{pin.line}: {pin.name} {pin.version}: from_source names it, and its source can't be built",
                problems=tuple(lines[-8:]),
                hint="build its wheel on a machine that can, then PIP_FIND_LINKS=FOLDER and `make lock`",
            )
        with cache.adding(f"built-{_kind(interpreter)}", _of_source(pin)) as folder:
            shutil.copyfile(built[0], folder / built[0].name)


def _keep(path: Path, pins: dict[str, Pin], interpreter: Interpreter, cache: Cache) -> None:
    """Move a downloaded wheel into the cache, if the lock names its hash."""
    try:
        name = canonicalize_name(parse_wheel_filename(path.name)[0])
    except InvalidWheelFilename as error:
        raise WheelhouseError(f"{path.name}: not the name of a wheel: {error}") from None
    sha256 = digest(path)
    if name not in pins or sha256 not in pins[name].hashes:
        raise WheelhouseError(f"{path.name}: its sha256 {sha256} is not in the lock file", hint="make lock")
    with cache.adding(_kind(interpreter), sha256) as folder:
        shutil.copyfile(path, folder / path.name)


def _download(pins: list[Pin], lock: str, interpreter: Interpreter, into: Path) -> None:
    """Let pip, with the user's own settings, choose and fetch the wheels for the target interpreter."""
    wanted = into / "wanted.txt"
    wanted.write_text("".join(f"{pin.text}\n" for pin in pins))
    command = [
        *(sys.executable, "-m", "pip", "--python", interpreter.path, "--no-input", "--disable-pip-version-check"),
        *("download", "--require-hashes", "--only-binary=:all:", "--no-deps", "--progress-bar=off"),
        *("--dest", str(into), "--requirement", str(wanted), *_target(interpreter)),
    ]
    failed, said = _run(command)
    if failed and _NOT_FOUND.search(said) and not _NO_NETWORK.search(said):
        # Which wheels are there, and was the index reached? pip says so at -vv only, which costs half as much again.
        failed, said = _run([*command, "-vv"])
    if failed:
        raise _explain(said, pins, lock, interpreter)


def _target(interpreter: Interpreter) -> list[str]:
    """Tell pip what the servers have: by itself it takes what runs on this machine, which may be newer."""
    named = floor.platforms(interpreter)
    if not named:
        return []
    major_minor = interpreter.minor.replace(".", "")
    chosen = ["--python-version", interpreter.minor, "--implementation", "cp", "--abi", f"cp{major_minor}"]
    return chosen + [f"--platform={name}" for name in named]


def _run(command: list[str]) -> tuple[bool, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode != 0, done.stdout + done.stderr


def _explain(said: str, pins: list[Pin], lock: str, interpreter: Interpreter) -> WheelhouseError:
    """Turn pip's complaint into one about a line of the lock."""
    if mismatch := _MISMATCH.search(said):
        pin = _pin(mismatch["what"], pins)
        where = f"{lock}:{pin.line}" if pin else lock
        return WheelhouseError(
            f"{where}: {mismatch['what']}: hash mismatch: the lock expects sha256 {mismatch['expected']}, "
            f"the index gave {mismatch['got']}",
            hint="if the lock is right, distrust the index; if the index is right: make lock",
        )
    if other := _REQUIRES.search(said):
        pin = _pin(other["what"], pins)
        where = f"{lock}:{pin.line}: {pin.name} {pin.version}" if pin else f"{lock}: {other['what']}"
        return WheelhouseError(
            f"{where}: needs Python {other['wanted']}; the target has {interpreter.minor}",
            hint="pin another version in pyproject.toml and `make lock`, or raise `python` in [tool.slipway] when "
            "every server has it",
        )
    found = _NOT_FOUND.search(said)
    pin = _pin(found["what"], pins) if found else None
    where = f"{lock}:{pin.line}: {pin.name} {pin.version}" if pin else f"{lock}: {len(pins)} wheels"
    if _NO_NETWORK.search(said):
        return WheelhouseError(
            f"{where}: not in the cache, and the package index can't be reached",
            hint="connect this machine once, or give pip a local index (PIP_FIND_LINKS=folder PIP_NO_INDEX=1)",
        )
    if pin:
        return WheelhouseError(
            f"{where}: no wheel for the target ({floor.target(interpreter)}): expected one that needs no compiler",
            problems=(*floor.of_links(said, pin.name, interpreter), *_OTHER_PYTHON.findall(said))[:8],
            hint=f'if it is published as source only, say from_source = ["{pin.name}"] in the contract; else pin '
            f"another version and `make lock`, or build one: pip wheel {pin.name}=={pin.version} --wheel-dir F, then "
            "PIP_FIND_LINKS=F and `make lock`",
        )
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return WheelhouseError(f"{where}: pip could not download", problems=tuple((errors or lines)[-5:]))


def _pin(requirement: str, pins: list[Pin]) -> Pin | None:
    name = canonicalize_name(re.split(r"[=<>!~\[;]", requirement)[0])
    return next((pin for pin in pins if pin.name == name), None)
