"""Which secrets an environment needs, and how they come into being."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import secrets_made, secrets_store
from deploy.certificate import describe
from deploy.environment import read
from deploy.secrets_made import generate_missing, needed, rotate
from deploy.secrets_store import SecretsError
from tests.support.environments import SERVERS, written

ALL = {
    "SECRET_KEY",
    "DATABASE_PASSWORD",
    "DATABASE_OWNER_PASSWORD",
    "DATABASE_READER_PASSWORD",
    "TLS_CERTIFICATE",
    "STATS_PASSWORD",
}


def test_servers_need_the_secrets_of_all_their_roles(tmp_path: Path) -> None:
    assert set(needed(written(tmp_path))) == ALL


def test_the_embedded_environment_needs_what_its_file_names() -> None:
    assert set(needed(read("local"))) == {"SECRET_KEY"}


def test_redis_needs_a_password_when_it_is_switched_on(tmp_path: Path) -> None:
    text = SERVERS + "[pillar.slipway.features]\nredis = true\n"
    assert set(needed(written(tmp_path, text))) == ALL | {"REDIS_PASSWORD"}


def test_what_is_missing_is_made_once(tmp_path: Path) -> None:
    environment = written(tmp_path)
    assert set(generate_missing(environment, root=tmp_path)) == ALL
    first = secrets_store.read(environment, ALL, environ={}, root=tmp_path)
    assert all(first.values())
    assert len(set(first.values())) == len(ALL)
    assert generate_missing(environment, root=tmp_path) == []
    assert secrets_store.read(environment, ALL, environ={}, root=tmp_path) == first
    certificate = first["TLS_CERTIFICATE"]
    assert certificate
    described = describe(certificate)
    assert described
    assert described.names == ("places.example", "10.0.0.11")


def test_rotation_makes_one_value_anew_and_leaves_the_others(tmp_path: Path) -> None:
    environment = written(tmp_path)
    generate_missing(environment, root=tmp_path)
    before = secrets_store.read(environment, ALL, environ={}, root=tmp_path)
    assert rotate(environment, ["SECRET_KEY"], root=tmp_path) == ".env.prod"
    after = secrets_store.read(environment, ALL, environ={}, root=tmp_path)
    assert {name for name in ALL if before[name] != after[name]} == {"SECRET_KEY"}
    with pytest.raises(SecretsError) as raised:
        rotate(environment, ["SECRETKEY"], root=tmp_path)
    assert raised.value.problems[0].startswith("SECRETKEY: not needed here")


def test_what_only_a_person_can_give_is_asked_for_all_at_once(tmp_path: Path) -> None:
    text = SERVERS.replace('tls = "self-signed"', 'tls = "provided"')
    text = text.replace('[hosts.db1]\nroles = ["db"]\naddress = "10.0.0.31"\n', "").replace("{db}", "10.0.9.9")
    environment = written(tmp_path, text)
    assert {name for name, need in needed(environment).items() if need.made == "by you"} == {
        "DATABASE_PASSWORD",
        "DATABASE_OWNER_PASSWORD",
        "TLS_CERTIFICATE",
    }
    with pytest.raises(SecretsError) as raised:
        generate_missing(environment, root=tmp_path)
    assert [problem.split()[0] for problem in raised.value.problems] == [
        "DATABASE_PASSWORD",
        "DATABASE_OWNER_PASSWORD",
        "TLS_CERTIFICATE",
    ]
    assert not (tmp_path / ".env.prod").exists(), "nothing is made when not everything can be"
    assert secrets_made.needed(environment)["SECRET_KEY"].made == "random"
