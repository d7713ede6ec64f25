from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.reading import got, read_variables, without_password


def test_a_value_comes_from_the_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    values, problems = read_variables({"A": "direct", "B_FILE": str(tmp_path / "key"), "OTHER": "x"}, ["A", "B", "C"])
    assert values == {"A": "direct", "B": "from a file"}
    assert problems == []


@pytest.mark.parametrize(
    ("content", "value"), [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x ")]
)
def test_only_one_line_end_is_taken_off(tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    assert read_variables({"A_FILE": str(tmp_path / "key")}, ["A"]) == ({"A": value}, [])


def test_every_problem_is_reported(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "blank").write_text("\n")
    environ = {
        "A": "x",
        "A_FILE": "/x",
        "B_FILE": "/does/not/exist",
        "C_FILE": str(tmp_path / "binary"),
        "D": "  ",
        "E_FILE": str(tmp_path / "blank"),
        "F_FILE": str(tmp_path),
    }
    values, problems = read_variables(environ, "ABCDEF")
    assert values == {}
    assert sorted(problem.variable for problem in problems) == ["A", "B_FILE", "C_FILE", "D", "E", "F_FILE"]
    told = {problem.variable: problem.got for problem in problems}
    assert told["B_FILE"] == "'/does/not/exist' (No such file or directory)"
    assert told["A"] == "both"


def test_what_was_got_never_shows_a_password() -> None:
    assert got(None, secret=False) == "nothing"
    assert got("x", secret=False) == "'x'"
    assert got("postgresql://me:pass@db/x", secret=False) == "'postgresql://***@db/x'"
    assert got("postgresql://me:p@/ss w\nord@db/x", secret=False) == "'postgresql://***@db/x'"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:hunter2@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql+psycopg://me:p@:/ss@db/x", "postgresql+psycopg://me:***@db/x"),
        ("postgresql+psycopg://me@db/x?host=/run:a@b", "postgresql+psycopg://me@db/x?host=/run:a@b"),
        ("sqlite:////var/a:b@c/x.db", "sqlite:////var/a:b@c/x.db"),
        ("INFO", "INFO"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@given(st.text(min_size=8))
def test_what_was_got_never_shows_a_secret(secret: str) -> None:
    assert got(secret, "too short", secret=True) == got("x" * len(secret), "too short", secret=True)
