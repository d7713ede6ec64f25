"""Contracts for tests that need one, whatever the application."""

from __future__ import annotations

from deploy.contract import Contract, parse

TEXT = """
[project]
name = "sample"

[tool.slipway]
app = "app.wsgi:application"
python = "3.11"
lock = "lock.txt"
"""


WORKER = """
[tool.slipway.processes.worker]
command = ["-m", "app", "worker"]
"""


SCHEDULER = """
[tool.slipway.processes.scheduler]
command = ["-m", "app", "scheduler"]
"""


def minimal(more: str = "") -> Contract:
    """Make the smallest contract there is, and whatever TOML is added."""
    return parse(TEXT + more)
