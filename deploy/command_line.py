"""Fabric's command line without its SSH, for `fab TASK:ENV`: half of what it loads is paramiko, and no task uses it.

Fabric's own program is Invoke's with options of its own. Where none of those was typed, Invoke's does the same, with
Fabric's files and variables of configuration (packaging/fab).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from invoke.config import Config, merge_dicts
from invoke.program import Program

OWN = ("--hosts", "--identity", "--list-agent-keys", "--prompt-for", "--ssh-config", "--connect-timeout", "--version")
LETTERS = "HiStV"  # those options in one letter; others may stand before them, as in -eH


class FabricsConfig(Config):
    """Invoke's configuration, by Fabric's names."""

    prefix = "fabric"

    @staticmethod
    def global_defaults() -> dict[str, Any]:
        """Give what holds unless a file or a variable says otherwise."""
        defaults: dict[str, Any] = Config.global_defaults()
        merge_dicts(defaults, {"tasks": {"collection_name": "fabfile"}})
        return defaults


def suits(words: Sequence[str]) -> bool:
    """Tell whether a task of ours comes first, and nothing that may be an option of Fabric's own behind it."""
    if not words or words[0].startswith("-") or ":" not in words[0]:
        return False
    for word in words:
        if word.startswith(OWN) or (word.startswith("-") and not word.startswith("--") and set(LETTERS) & set(word)):
            return False
    return True


@cache
def small() -> Program:
    """Give the program that lacks Fabric's own options."""
    return Program(name="Fabric", config_class=FabricsConfig)


def running() -> Program:
    """Give the program that runs: Fabric's, if that was loaded."""
    fabric = sys.modules.get("fabric.main")
    return fabric.program if fabric else small()
