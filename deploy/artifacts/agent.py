"""Build the agent into one file, `releasectl`: a zipapp of standard-library Python.

Run as `python -m deploy.artifacts.agent OUT`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

SHEBANG = b"#!/usr/bin/env python3\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
SOURCE = Path(__file__).resolve().parents[1] / "agent"
INIT = "deploy/agent/__init__.py"
PLACEHOLDER = b'BUILD = "source"'


def build(source: Path = SOURCE) -> bytes:
    """Give the zipapp's bytes: the same for the same sources, whatever their times, order or place."""
    return SHEBANG + _zip(_members(source))


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
