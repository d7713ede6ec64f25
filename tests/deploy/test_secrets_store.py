"""Where secrets are looked for: one order, and nobody sees a value."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy import secrets_store
from deploy.environment import Environment
from deploy.secret import Secret
from deploy.secrets_store import SecretsError
from tests.support.environments import SERVERS, written


def with_command(folder: Path, program: str) -> Environment:
    """Give an environment whose secrets_command is a Python program that gets environment and name."""
    (folder / "manager.py").write_text(program)
    command = f"{sys.executable} {folder}/manager.py {{environment}} {{name}}"
    return written(folder, f'secrets_command = "{command}"\n{SERVERS}')


def test_the_process_environment_comes_before_the_file_and_the_file_before_the_command(tmp_path: Path) -> None:
    environment = with_command(tmp_path, "import sys; print('command', *sys.argv[1:])")
    file = tmp_path / ".env.prod"
    file.write_text("A=file\nB=file\n")
    file.chmod(0o600)
    answer = secrets_store.find(
        environment, ["A", "B", "C"], environ={"SLIPWAY_PROD_A": "variable", "A": "not this"}, root=tmp_path
    )
    assert {name: found.value.reveal() for name, found in answer.found.items()} == {
        "A": "variable",
        "B": "file",
        "C": "command prod C",
    }
    assert answer.found["A"].source == "the variable SLIPWAY_PROD_A"
    assert answer.found["B"].source == ".env.prod"
    assert "secrets_command" in answer.found["C"].source


def test_what_is_nowhere_is_none_and_the_command_says_why(tmp_path: Path) -> None:
    environment = with_command(tmp_path, "import sys; sys.exit('no such entry: ' + sys.argv[2])")
    assert secrets_store.read(environment, ["A"], environ={}, root=tmp_path) == {"A": None}
    answer = secrets_store.find(environment, ["A"], environ={}, root=tmp_path)
    assert "no such entry: A" in answer.reasons["A"]


def test_a_command_that_is_not_installed_is_a_mistake(tmp_path: Path) -> None:
    environment = written(tmp_path, 'secrets_command = "no-such-manager {name}"\n' + SERVERS)
    with pytest.raises(SecretsError, match="no-such-manager is not installed here"):
        secrets_store.read(environment, ["A"], environ={}, root=tmp_path)


def test_an_environments_dashes_become_underscores_in_its_variables(tmp_path: Path) -> None:
    environment = written(tmp_path, name="prod-eu")
    assert secrets_store.variable(environment, "A") == "SLIPWAY_PROD_EU_A"


def test_kept_secrets_are_found_again(tmp_path: Path) -> None:
    environment = written(tmp_path)
    assert secrets_store.keep(environment, {"A": Secret("x y")}, root=tmp_path) == ".env.prod"
    assert secrets_store.read(environment, ["A", "B"], environ={}, root=tmp_path) == {"A": Secret("x y"), "B": None}


def test_nothing_is_kept_beside_a_command(tmp_path: Path) -> None:
    environment = with_command(tmp_path, "")
    with pytest.raises(SecretsError, match="has a secrets_command"):
        secrets_store.keep(environment, {"A": Secret("x")}, root=tmp_path)
    assert not (tmp_path / ".env.prod").exists()
