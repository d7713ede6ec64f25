"""The same states and pillars for a salt-master: two folders that its `file_roots` and `pillar_roots` name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.errors import SlipwayError
from deploy.highstate.parcel import pillar_files

MARK = ".slipway"  # says that a folder is ours, so that it may be replaced


class MasterError(SlipwayError):
    """A folder can't be used."""


def write(folder: Path, states: Mapping[str, bytes], pillars: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `states/` and `pillar/` into a folder, instead of those that were written before.

    Everything is built aside, readable by its owner alone, and then takes the old folder's place.

    Raises: MasterError when something else is in the way.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise MasterError(f"{folder} has other things in it", hint="name a folder that does not exist yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))  # mode 0700
    try:
        files = {f"states/{path}": content for path, content in states.items()} | pillar_files(pillars)
        for path, content in {**files, MARK: b""}.items():
            target = aside / path
            for parent in reversed(target.relative_to(aside).parents):
                (aside / parent).mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        old = aside / ".old"
        if folder.exists():
            folder.rename(old)
        aside.rename(folder)
        shutil.rmtree(folder / old.name, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
