"""What the agent's source promises: old Pythons, nothing but the standard library, small files."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "deploy/agent"
FILES = sorted(SOURCE.rglob("*.py"))
TOO_NEW = {"tomllib", "graphlib.TopologicalSorter"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_of_the_agent(path: Path) -> None:
    """It parses on Python 3.9, delays its annotations, imports only the standard library, and is short."""
    text = path.read_text()
    tree = ast.parse(text, feature_version=(3, 9))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in imports) or not imports
    for node in imports:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        assert not isinstance(node, ast.ImportFrom) or node.level == 0
        for name in names:
            assert name.startswith("deploy.agent") or name.split(".")[0] in sys.stdlib_module_names, name
            assert name not in TOO_NEW
    assert len(text.splitlines()) < 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{node.name} is long"


def test_nothing_is_newer_than_python_3_9() -> None:
    """Calls that later versions brought, which a parser can't see."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert not any(keyword.arg in ("strict", "slots", "kw_only") for keyword in node.keywords), path
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("pairwise", "batched", "file_digest", "UTC", "hardlink_to"), path
