"""Build the agent into one file, `releasectl`: a zipapp of standard-library Python.

Beside each module lies its bytecode for the Python that builds. A server with the same minor version starts the agent a
third faster; any other passes the bytecode over, as its magic number says, and compiles the source (zipimport).

Run as `python -m deploy.artifacts.agent OUT`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.artifacts import cache as caches
from deploy.artifacts.cache import Cache

logger = logging.getLogger(__name__)

# Isolated, and without `site`: what runs is the agent and the standard library, and it begins sooner.
SHEBANG = b"#!/usr/bin/env -S python3 -IS\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
SOURCE = Path(__file__).resolve().parents[1] / "agent"
INIT = "deploy/agent/__init__.py"
PLACEHOLDER = b'BUILD = "source"'
COMPILER = (
    Path(__file__).parent / "wheels" / "compile_bytecode.py"
)  # without its neighbours, which each `fab` would load
_KIND = "agents"
_MADE_BY = (Path(__file__), COMPILER)


def build(source: Path = SOURCE, cache: Cache | None = None) -> bytes:
    """Give the zipapp's bytes: the same for the same sources and Python, whatever their times, order or place."""
    members, cache = _members(source), cache or caches.of_user()
    digests = (hashlib.sha256(data).hexdigest() for data in members.values())
    made_of = caches.key(sys.version, caches.code_of(*_MADE_BY), *members, *digests)
    if (kept := _kept(cache, made_of)) is not None:
        return kept
    made = SHEBANG + _zip({**members, **_bytecode(members)})
    with cache.adding(_KIND, made_of) as folder:
        (folder / hashlib.sha256(made).hexdigest()).write_bytes(made)
    return made


def _kept(cache: Cache, key: str) -> bytes | None:
    """Give what was built once; None when it was not, or is no more what it was."""
    for path in (cache.entry(_KIND, key) or Path("/nothing")).glob("*"):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == path.name:
            return data
        cache.drop(_KIND, key)
    return None


def _bytecode(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Compile the modules, in a process of its own: what `marshal` writes depends on what a process already knows."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in members.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        command = [sys.executable, "-S", "-B", "-s", str(COMPILER), name]
        subprocess.run(command, env={"PYTHONHASHSEED": "0"}, stdout=subprocess.DEVNULL, check=True)
        compiled = {path: next((folder / path).parent.glob(f"__pycache__/{Path(path).stem}.*.pyc")) for path in members}
        return {f"{path}c": where.read_bytes() for path, where in compiled.items()}


def identity(source: Path = SOURCE) -> str:
    """Say what `releasectl --version`, and its `status`, say of the agent that these sources make."""
    found = re.search(rb'^VERSION = "(.*)"$.*^BUILD = "(.*?)"', _members(source)[INIT], re.MULTILINE | re.DOTALL)
    assert found
    return f"{found[1].decode()}+{found[2].decode()}"


def _members(source: Path) -> dict[str, bytes]:
    members = {"__main__.py": (source / "__main__.py").read_bytes(), "deploy/__init__.py": b""}
    for path in sorted(source.rglob("*.py")):
        members[f"deploy/agent/{path.relative_to(source).as_posix()}"] = path.read_bytes()
    init = members[INIT]
    if PLACEHOLDER not in init:
        raise ValueError(f"{source / '__init__.py'} lacks the line {PLACEHOLDER.decode()}")
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in sorted(members.items())))
    members[INIT] = init.replace(PLACEHOLDER, b'BUILD = "%s"' % digest.hexdigest()[:12].encode())
    return members


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Offsets are counted from the start of the zip, as zipapp's own are: readers find the start behind the shebang.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)  # stored: inflating costs a start more than reading does
    return buffer.getvalue()


def write(target: Path, source: Path = SOURCE) -> bool:
    """Write the zipapp, executable, unless it is there already; say whether it was written."""
    data = build(source)
    if target.is_file() and target.read_bytes() == data:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    aside.write_bytes(data)
    aside.chmod(0o755)
    aside.rename(target)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Write the zipapp to the path given."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) != 1 or words[0].startswith("-"):
        sys.stderr.write("usage: python -m deploy.artifacts.agent OUT\n")
        return 2
    written = write(Path(words[0]))
    sys.stdout.write(f"agent    {words[0]}{'' if written else ', already there'}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
