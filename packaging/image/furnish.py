"""Lay out what the app finds in its state directory: folders, and configuration files, each given whole as NAME_FILE.

On servers the agent does this (deploy/agent/furnish.py); a test compares the two. Standard library only.

    python -ISB furnish.py MANIFEST STATE
"""

import json
import os
import sys
from pathlib import Path, PurePosixPath


def main(manifest: str, state: str) -> int:
    """Do it, or say which variable is missing."""
    contract = json.loads(Path(manifest).read_text(encoding="utf-8"))["contract"]
    lacking = [name for name in contract.get("config_files", {}).values() if f"{name}_FILE" not in os.environ]
    if lacking:
        wanted = ", ".join(f"{name}_FILE" for name in lacking)
        sys.stderr.write(f"entrypoint: expected {wanted}: the path of a mounted secret, the whole file\n")
        return 78  # EX_CONFIG
    os.umask(0o077)
    linked = contract.get("links", {}).values()
    parents = [str(PurePosixPath(place).parent) if PurePosixPath(place).suffix else place for place in linked]
    for folder in (*contract.get("state_dirs", []), *parents):
        Path(state, folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    for place, name in contract.get("config_files", {}).items():
        path = Path(state, place)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_bytes(Path(os.environ[f"{name}_FILE"]).read_bytes())
        aside.rename(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
