import io
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.about import NAME
from app.settings import InvalidSettings, Settings
from app.settings.table import env_example, masked, variables

KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("row", variables(), ids=lambda row: row["name"])
def test_every_variable_is_described_and_its_example_is_valid(row: dict[str, str]) -> None:
    assert row["summary"]
    assert row["expected"]
    environ = {"SECRET_KEY": KEY, row["name"]: row["example"]}
    if row["secret"]:
        with pytest.raises(InvalidSettings):
            Settings.from_environ(environ)
    else:
        Settings.from_environ(environ)


def test_every_default_is_a_valid_value() -> None:
    defaults = {row["name"]: row["default"] for row in variables() if row["default"]}
    assert Settings.from_environ({"SECRET_KEY": KEY, **defaults}) == Settings.from_environ({"SECRET_KEY": KEY})


def test_the_example_file_is_up_to_date() -> None:
    expected = env_example(NAME)
    assert (ROOT / ".env.example").read_text() == expected, f"type: {NAME} config schema --env > .env.example"


def test_the_example_file_is_refused_until_its_secret_is_replaced() -> None:
    values = dotenv_values(stream=io.StringIO(env_example(NAME)))
    assert values == {"SECRET_KEY": "changeme"}
    with pytest.raises(InvalidSettings):
        Settings.from_environ({name: value or "" for name, value in values.items()})


def test_masked_values_hide_secrets_and_nothing_else() -> None:
    url = "postgresql+psycopg://me:hunter2@db/x"
    shown = masked(Settings.from_environ({"SECRET_KEY": KEY, "ALLOWED_HOSTS": "a,b", "DATABASE_URL": url}))
    assert KEY not in str(shown)
    assert "hunter2" not in str(shown)
    assert shown["DATABASE_URL"] == "postgresql+psycopg://me:***@db/x"
    assert shown["DATABASE_PASSWORD"] == ""
    assert shown["ALLOWED_HOSTS"] == "a,b"
    assert set(shown) == {row["name"] for row in variables()}
