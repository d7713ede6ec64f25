"""Which host has the database that an environment's variables name, and what is kept beside a backup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy import backups
from deploy.backups import Database
from deploy.errors import SlipwayError
from deploy.plan import Kind, Step, Target
from tests.support.environments import SERVERS, written

LOCAL = """
transport = "local"
directory = "var/local"

[balancer]
listen = "127.0.0.1:8100"

[hosts.web1]
roles = ["web"]
listen = "127.0.0.1:8101"

[variables]
DATABASE_URL = "sqlite:///{directory}/db/x.sqlite3"
"""
URL = "postgresql+psycopg://sample@{db}/sample"


def test_postgresql_is_on_the_host_that_the_url_leads_to(tmp_path: Path) -> None:
    assert backups.find(written(tmp_path)) == Database("db1", "postgresql", "sample")


def test_sqlite_is_a_file_of_the_first_server(tmp_path: Path) -> None:
    environment = written(tmp_path, LOCAL, "local")
    found = backups.find(environment)
    assert found == Database("web1", "sqlite", f"{environment.directory}/db/x.sqlite3")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://sample@db.example/sample", "leads to db.example, and no host with the role db is that"),
        ("postgresql:///sample", "leads to a socket"),
        ("mysql://sample@{db}/sample", "is of mysql, which can't be backed up from here"),
    ],
)
def test_a_database_that_is_elsewhere_is_told(tmp_path: Path, url: str, problem: str) -> None:
    environment = written(tmp_path, SERVERS.replace(URL, url))
    assert problem in backups.find(environment).problem
    with pytest.raises(SlipwayError) as caught:
        backups.require(environment)
    assert caught.value.hint == "mend deploy/environments/prod.toml"


def test_another_variable_can_be_named_and_one_that_is_missing_is_told(tmp_path: Path) -> None:
    text = SERVERS.replace("DATABASE_URL", "STORE")
    assert "no variable DATABASE_URL" in backups.find(written(tmp_path, text)).problem
    named = f'{text}\n[backup]\nvariable = "STORE"\n'
    assert backups.find(written(tmp_path, named, "other")).host == "db1"


def test_beside_a_backup_stands_which_contract_migrations_it_has() -> None:
    chain = ("0001", "0002", "0003", "0004")
    target = Target(3, "3.0", "d3", "e3", migrations=chain, contract_migrations=frozenset({"0002", "0004"}))
    step = Step(Kind.BACKUP, "db1", "asked for", revision="0003")
    about = backups.about(target, step, "ada@desk")
    assert about == {
        "why": "asked for", "by": "ada@desk", "version": "3.0", "revision": "0003", "contracts": ["0002"]
    }  # fmt: skip
    assert backups.about(target, replace(step, revision=""), "ada@desk")["contracts"] == []
