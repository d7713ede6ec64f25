import json
from pathlib import Path

import pytest

from app.settings.table import env_example

SECRET_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"


def test_a_valid_environment(run) -> None:
    assert (run("config", "check").exit_code, run("config", "check").stdout) == (0, "ok\n")
    result = run("config", "check", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"ok": True, "errors": []})


def test_everything_wrong_is_told_at_once(run) -> None:
    result = run("config", "check", "--json", SECRET_KEY="hunter2", LOG_LEVEL="LOUD")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert [error["variable"] for error in found["errors"]] == ["SECRET_KEY", "LOG_LEVEL"]
    assert set(found["errors"][0]) == {"variable", "expected", "got"}
    assert "hunter2" not in result.output
    plain = run("config", "check", SECRET_KEY="hunter2", LOG_LEVEL="LOUD")
    assert plain.exit_code == 1
    assert plain.stderr.splitlines()[-1] == "2 invalid"


def test_only_the_file_counts(run, tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("LOG_LEVEL=INFO\n")
    result = run("config", "check", "--json", "--env-file", str(path))
    assert [error["variable"] for error in json.loads(result.stdout)["errors"]] == ["SECRET_KEY"]
    path.write_text(f"SECRET_KEY={SECRET_KEY}\n")
    assert run("config", "check", "--env-file", str(path), SECRET_KEY=None, LOG_LEVEL="LOUD").exit_code == 0


@pytest.mark.parametrize("content", [None, "no variable\n"])
def test_a_file_that_cannot_be_read_is_an_error_too(run, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "env"
    if content:
        path.write_text(content)
    result = run("config", "check", "--json", "--env-file", str(path))
    assert result.exit_code == 1
    (error,) = json.loads(result.stdout)["errors"]
    assert error["variable"] == str(path)


def test_the_schema_is_data_and_an_example_file(run) -> None:
    rows = {row["name"]: row for row in json.loads(run("config", "schema").stdout)}
    assert rows["SECRET_KEY"]["required"]
    assert rows["SECRET_KEY"]["secret"]
    assert rows["LOG_LEVEL"]["default"] == "INFO"
    assert run("config", "schema", "--env").stdout == env_example("gazetteer")


def test_values_are_shown_and_secrets_are_not(run) -> None:
    shown = run("config", "show", LOG_LEVEL="debug").stdout
    assert "LOG_LEVEL=DEBUG\n" in shown
    assert "SECRET_KEY=**********\n" in shown
    assert SECRET_KEY not in shown
