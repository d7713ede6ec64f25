"""Files of secrets: readable by their owner alone, and never half-written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import secrets_file
from deploy.secrets_file import SecretsFileError

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_characters="\r\0", exclude_categories=("Cs",)), min_size=1)


@given(st.dictionaries(NAMES, TEXTS.map(str.strip).filter(bool)))
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    assert secrets_file.parse(secrets_file.replaced(secrets_file.HEAD, values), "x") == values


def test_only_the_named_values_change(tmp_path: Path) -> None:
    path = tmp_path / ".env.prod"
    path.write_text("# by hand\nexport A='one $HOME'\nB=two # note\nC=three")
    path.chmod(0o600)
    secrets_file.write(path, {"B": "new\nlines"})
    assert path.read_text() == "# by hand\nexport A='one $HOME'\nC=three\nB='new\nlines'\n"
    assert secrets_file.read(path) == {"A": "one $HOME", "B": "new\nlines", "C": "three"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [left.name for left in tmp_path.iterdir()] == [".env.prod"]


def test_a_file_that_others_can_read_is_refused_with_what_to_type(tmp_path: Path) -> None:
    path = tmp_path / ".env.prod"
    path.write_text("A=1\n")
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(SecretsFileError) as raised:
            secrets_file.read(path)
        assert raised.value.hint == "chmod 600 .env.prod"
        with pytest.raises(SecretsFileError):
            secrets_file.write(path, {"B": "2"})
    path.chmod(0o600)
    assert secrets_file.read(path) == {"A": "1"}


def test_a_line_that_is_no_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env.prod"
    path.write_text("A=1\nB='open\n")
    path.chmod(0o600)
    with pytest.raises(SecretsFileError, match=r"\.env\.prod:2: expected NAME='value'"):
        secrets_file.read(path)


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env.prod"
    writers = [threading.Thread(target=secrets_file.write, args=(path, {f"N{n}": str(n)})) for n in range(1, 9)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert secrets_file.read(path) == {f"N{n}": str(n) for n in range(1, 9)}
