from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from app.database.revisions import read_revisions
from app.database.target import Target
from app.rehearsal.recording import read
from app.rehearsal.replay import replay
from app.rehearsal.scratch import CannotRehearse, rehearse, scratch_of
from tests.support import mariadb as mariadb_support
from tests.support.postgres import OWNER, Cluster

HEAD = read_revisions()[-1].revision


def test_a_copy_is_made_asked_and_gone(tmp_path: Path) -> None:
    target = Target(f"sqlite:///{tmp_path}/a.sqlite3")
    assert rehearse(target).after == HEAD
    failed = replay(scratch_of(target), read("sqlite"))
    assert [each.error for each in failed if "UNIQUE" not in each.error] == []
    rehearse(target, "base")
    assert list(tmp_path.iterdir()) == []


def test_who_may_make_no_database_is_told_what_to_do(postgres: Cluster) -> None:
    postgres.make_roles("alone")
    try:
        with pytest.raises(CannotRehearse, match="permission denied to create database; expected a database alone_reh"):
            rehearse(Target(postgres.url("alone", OWNER)))
    finally:
        postgres.drop("alone")


def test_mariadb_has_a_copy_where_it_may(mariadb: mariadb_support.Server) -> None:
    for name in ("alone", "alone_rehearsal"):
        mariadb.make(name)
    target = Target(mariadb.url("alone"))
    try:
        assert rehearse(target).after == HEAD
        failed = replay(scratch_of(target), read("mariadb"))
        assert [each.error for each in failed if "Duplicate entry" not in each.error] == []
        rehearse(target, "base")
        with pytest.raises(DBAPIError):
            replay(scratch_of(target), read("mariadb"))
    finally:
        mariadb.drop("alone")
