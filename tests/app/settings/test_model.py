from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import InvalidSettings, Settings

KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"


def problems_of(environ: dict[str, str]) -> dict[str, tuple[str, str]]:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environ(environ)
    return {problem.variable: (problem.expected, problem.got) for problem in caught.value.problems}


def test_only_the_secret_key_is_required() -> None:
    settings = Settings.from_environ({"SECRET_KEY": KEY})
    assert settings.secret_key.get_secret_value() == KEY
    assert settings.log_format == "json"
    assert settings.allowed_hosts == ("*",)


def test_values_are_typed() -> None:
    settings = Settings.from_environ(
        {"SECRET_KEY": KEY, "TRUSTED_PROXIES": "2", "ALLOWED_HOSTS": "a.org, .b.org", "LOG_LEVEL": "debug"}
    )
    assert settings.trusted_proxies == 2
    assert settings.allowed_hosts == ("a.org", ".b.org")
    assert settings.log_level == "DEBUG"


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert set(problems_of({})) == {"SECRET_KEY"}
    assert Settings.from_environ({"SECRET_KEY": KEY}).log_level == "INFO"


def test_unknown_variables_are_ignored() -> None:
    assert Settings.from_environ({"SECRET_KEY": KEY, "PATH": "/bin", "LOG_COLOUR": "red"})


def test_all_problems_come_at_once() -> None:
    found = problems_of(
        {
            "SECRET_KEY": "changeme",
            "DATABASE_URL": "mysql://me:hidden@db/x",
            "DATABASE_POOL_SIZE": "0",
            "APP_FRAMEWORK": "bottle",
            "TRUSTED_PROXIES": "many",
            "ALLOWED_HOSTS": ",",
            "ENVIRONMENT": "Not A Name",
            "LOG_FORMAT": "",
            "MAX_BODY_BYTES": "1",
            "API_TOKEN_DAYS_FILE": "/nowhere",
        }
    )
    assert sorted(found) == [
        "ALLOWED_HOSTS",
        "API_TOKEN_DAYS_FILE",
        "APP_FRAMEWORK",
        "DATABASE_POOL_SIZE",
        "DATABASE_URL",
        "ENVIRONMENT",
        "LOG_FORMAT",
        "MAX_BODY_BYTES",
        "SECRET_KEY",
        "TRUSTED_PROXIES",
    ]
    assert found["APP_FRAMEWORK"] == ("flask or falcon", "'bottle'")
    assert all(expected for expected, _ in found.values())
    assert "changeme" not in str(found)
    assert "hidden" not in str(found)


def test_a_secret_is_reported_once_when_its_file_is_missing() -> None:
    assert set(problems_of({"SECRET_KEY_FILE": "/nowhere"})) == {"SECRET_KEY_FILE"}


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    assert Settings.from_environ({"SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key.get_secret_value() == KEY


POSTGRESQL = {"SECRET_KEY": KEY, "DATABASE_URL": "postgresql+psycopg://me@db1:5432/x"}


def test_the_database_s_password_is_a_secret_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    settings = Settings.from_environ({**POSTGRESQL, "DATABASE_PASSWORD_FILE": str(tmp_path / "password")})
    assert settings.database_password is not None
    assert settings.database_password.get_secret_value() == "correct horse"
    assert "horse" not in f"{settings!r} {settings.model_dump_json()}"
    assert Settings.from_environ(POSTGRESQL).database_password is None


@pytest.mark.parametrize(
    ("url", "password", "got"),
    [
        ("postgresql+psycopg://me:one@db1/x", "two-two", "a value of 7 characters although DATABASE_URL has one, too"),
        ("sqlite:////var/x.db", "two-two", "a value of 7 characters although an SQLite database has none"),
        ("postgresql+psycopg://me@db1/x", "changeme", "a value of 8 characters that reads like an example"),
    ],
)
def test_a_password_has_one_place(url: str, password: str, got: str) -> None:
    found = problems_of({"SECRET_KEY": KEY, "DATABASE_URL": url, "DATABASE_PASSWORD": password})
    assert {name: told for name, (_, told) in found.items()} == {"DATABASE_PASSWORD": got}


def test_a_wrong_url_is_reported_and_not_its_password() -> None:
    assert set(problems_of({"SECRET_KEY": KEY, "DATABASE_URL": "postgres", "DATABASE_PASSWORD": "x"})) == {
        "DATABASE_URL"
    }


def test_settings_are_frozen_and_keep_secrets_to_themselves() -> None:
    settings = Settings.from_environ({"SECRET_KEY": KEY})
    with pytest.raises(ValidationError):
        settings.log_level = "DEBUG"
    assert KEY not in f"{settings!r} {settings} {settings.model_dump_json()}"
