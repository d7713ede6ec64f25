"""The command that prepares an empty database, `init`: it may delete what it finds, so it runs where nothing is."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from deploy.agent import files, furnish
from deploy.agent.layout import Layout

MARK = "initialised"  # beside the agent's own files, where the app can't write
BEGUN, DONE = "begun", "done"


def reason_against(layout: Layout, contract: Mapping[str, Any]) -> str:
    """Say why `init` must not run here; empty when it may. One that was killed on its way may run again."""
    try:
        said, _, when = (layout.var / MARK).read_text(encoding="ascii").strip().partition(" ")
    except FileNotFoundError:
        found = _data(layout, contract)
        return f"there is data already ({found})" if found else ""
    return "" if said == BEGUN else f"it ran on {when}"


def note(layout: Layout, what: str) -> None:
    """Remember that it began, or that it is done."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    files.atomic_write(layout.var / MARK, f"{what} {when}\n".encode("ascii"), tmp=layout.tmp)


def _data(layout: Layout, contract: Mapping[str, Any]) -> str:
    """Find a file with something in it where the app keeps its data; its configuration is none."""
    ours = {str(layout.state / place) for place in contract.get("config_files", {})}
    for folder in furnish.folders(contract):
        for where, _, names in os.walk(layout.state / folder):
            for name in sorted(names):
                path = os.path.join(where, name)
                if path not in ours and os.lstat(path).st_size:
                    return os.path.relpath(path, layout.state)
    return ""
