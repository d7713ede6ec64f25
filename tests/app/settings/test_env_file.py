from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.env_file import UnreadableEnvFile, read_env_file


def test_lines_quotes_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# comment\nA=1\nexport B='two words'\nC=\"$A\"\n\nD=x=y\n")
    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "$A", "D": "x=y"}


@pytest.mark.parametrize("line", ["A", "=x", 'A="open', "A B=1"])
def test_a_malformed_line_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "env"
    path.write_text(f"OK=1\n{line}\n")
    with pytest.raises(UnreadableEnvFile, match="line 2") as caught:
        read_env_file(path)
    assert line not in str(caught.value).replace("NAME=value", "")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableEnvFile, match="No such file"):
        read_env_file(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"A=\xff")
    with pytest.raises(UnreadableEnvFile, match="UTF-8"):
        read_env_file(tmp_path / "binary")


PLAIN = st.from_regex(r"[a-zA-Z0-9:/._+=@%-]+", fullmatch=True)


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True), PLAIN))
def test_plain_values_come_back_as_written(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("env") / "env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    assert read_env_file(path) == values
