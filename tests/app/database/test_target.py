import pytest

from app.database.target import Target
from app.settings import Settings

SQLITE = Target("sqlite:////var/lib/x.sqlite3")
POSTGRESQL = Target("postgresql+psycopg://me:hunter2@db/x", password="hunter2")


def test_the_url_tells_the_kind() -> None:
    assert (SQLITE.kind, POSTGRESQL.kind) == ("sqlite", "postgresql")
    assert SQLITE.path == "/var/lib/x.sqlite3"


def test_no_password_is_shown() -> None:
    assert "hunter2" not in f"{POSTGRESQL} {POSTGRESQL!r}"
    assert str(POSTGRESQL) == "postgresql+psycopg://me:***@db/x"
    assert str(SQLITE) == SQLITE.url


def test_it_comes_from_the_settings(settings: Settings) -> None:
    changed = settings.model_copy(update={"release_version": "1.4.0+g1a2b3c4", "database_pool_size": 3})
    target = Target.of(changed)
    assert target.url == settings.database_url
    assert (target.password, target.pool_size, target.statement_timeout) == (None, 3, 30)
    assert target.application_name == "gazetteer 1.4.0+g1a2b3c4"


@pytest.mark.parametrize("version", ["1" * 90, "1.0-ü"])
def test_the_name_of_the_application_is_one_that_postgresql_keeps(settings: Settings, version: str) -> None:
    name = Target.of(settings.model_copy(update={"release_version": version})).application_name
    assert len(name) <= 63
    assert name.isascii()


def test_the_password_comes_from_its_own_variable() -> None:
    environ = {
        "SECRET_KEY": "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E",
        "DATABASE_URL": "postgresql+psycopg://me@db/x",
        "DATABASE_PASSWORD": "correct horse",
    }
    assert Target.of(Settings.from_environ(environ)).password == "correct horse"
