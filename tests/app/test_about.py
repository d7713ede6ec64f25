import tomllib
from pathlib import Path

import pytest

from app.about import NAME, TAGLINE, commit_of, installed_version

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_name_is_that_of_the_project() -> None:
    assert tomllib.loads(PYPROJECT.read_text())["project"]["name"] == NAME


def test_the_tagline_is_one_line() -> None:
    assert TAGLINE
    assert "\n" not in TAGLINE


@pytest.mark.parametrize(
    ("version", "commit"),
    [
        ("1.4.0+g1a2b3c4", "1a2b3c4"),
        ("0.1.dev7+g1a2b3c4", "1a2b3c4"),
        ("0.1.dev7+g1a2b3c4.d20260101", "1a2b3c4"),
        ("1.0+debian.g0123456789abcdef", "0123456789abcdef"),
        ("1.4.0", None),
        ("1.4.0+green", None),
    ],
)
def test_a_version_tells_its_commit(version: str, commit: str | None) -> None:
    assert commit_of(version) == commit


def test_there_is_always_a_version() -> None:
    assert installed_version()[0].isdigit()
