"""Every path and name that docs/large-flask-apps.md mentions exists, where it says so."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from app.settings.table import variables
from tests.support.repository import ROOT, make_targets

PAGE = (ROOT / "docs" / "large-flask-apps.md").read_text(encoding="utf-8")
QUESTIONS = 7
PATH = re.compile(r"[\w.-]+/[\w./-]*|[\w-]+\.(?:py|toml)")
REJECTED = {"current_app.config", "init_app", "flask.g", "app", "app.logger"}
"""What the page says that we do not use."""


def paragraphs() -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\n+", PAGE)]


def spans(paragraph: str) -> list[str]:
    return [span for span in re.findall(r"`([^`]+)`", paragraph) if span not in REJECTED]


def resolved(path: str) -> list[Path]:
    """What a path means: from the root, or a file of each feature."""
    if "/" in path or path == "pyproject.toml":
        return [ROOT / path]
    return list((ROOT / "app").glob(f"*/{path}"))


def defined(path: Path) -> set[str]:
    """The classes, functions and methods of a file."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)}


def names() -> list[tuple[str, list[str]]]:
    """Each name on the page, with the Python files that its paragraph mentions."""
    found = []
    for paragraph in paragraphs():
        files = [span for span in spans(paragraph) if PATH.fullmatch(span) and span.endswith(".py") and "/" in span]
        found += [(span, files) for span in spans(paragraph) if re.fullmatch(r"[A-Za-z_]\w*", span)]
    return found


def test_there_is_an_answer_to_each_question_with_what_else_there_was() -> None:
    assert len(re.findall(r"^## .+\?$", PAGE, re.MULTILINE)) == QUESTIONS
    assert PAGE.count("\nInstead of: **") == QUESTIONS
    for considered in ("eggs", "Puppet", "configuration files", "singletons", "class-based views", "Falcon"):
        assert f"**{considered}" in PAGE
    assert len(names()) > 15


@pytest.mark.parametrize(
    "path", sorted({span for part in paragraphs() for span in spans(part) if PATH.fullmatch(span)})
)
def test_every_path_exists(path: str) -> None:
    if not path.startswith("/"):
        found = resolved(path)
        assert found
        assert all(each.exists() for each in found)


@pytest.mark.parametrize(("name", "files"), names(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_name_is_defined_where_it_is_said_to_be(name: str, files: list[str]) -> None:
    if name.isupper():
        assert name in {row["name"] for row in variables()}
        return
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    if name in {re.split(r"\W", dependency)[0] for dependency in dependencies}:
        return
    assert any(name in defined(ROOT / file) for file in files), f"none of {files} defines {name}"


def test_every_other_piece_of_code_is_one_that_is_looked_at() -> None:
    left = {span for part in paragraphs() for span in spans(part)}
    left -= {span for span in left if PATH.fullmatch(span) or re.fullmatch(r"[A-Za-z_]\w*", span)}
    targets = {span for span in left if span.startswith("make ")}
    assert {target.removeprefix("make ") for target in targets} <= set(make_targets())
    health = {span for span in left if span.startswith("/")}
    source = (ROOT / "app/middleware/health.py").read_text(encoding="utf-8")
    assert all(f'"{path}"' in source for path in health)
    assert left - targets - health == {"[tool.slipway]", "logger = logging.getLogger(__name__)"}
