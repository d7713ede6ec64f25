"""Pillars: each host gets what its roles need, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.environment import Environment
from deploy.pillar import FEATURES, PillarError, Sources, as_sls, merged, pillar, secrets_of
from deploy.secret import Secret
from deploy.secrets_made import needed
from tests.support.contracts import minimal
from tests.support.environments import SERVERS, written

ROLES = ("lb", "web", "worker", "db")


def sources(environment: Environment, **more: Any) -> Sources:
    """Give everything that pillars are made of; each secret's value says its name."""
    values = {name: Secret(f"value of {name}") for name in needed(environment)}
    return Sources(environment, minimal(), values, ["ssh-ed25519 AAAA operator"], "me ssh-ed25519 BBBB", **more)


def strings(node: Any) -> Iterator[str]:
    """Give every text in a pillar."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Give an environment of four servers."""
    return written(tmp_path)


def test_a_web_host_gets_the_application_and_nothing_else(environment: Environment) -> None:
    made = pillar(sources(environment), "web2")["slipway"]
    assert set(made) == {"name", "environment", "host", "roles", "hosts", "agent", "features", "app"}
    assert (made["name"], made["environment"], made["host"], made["roles"]) == (
        "sample",
        "prod",
        "web2",
        ["web", "worker"],
    )
    assert made["hosts"]["web1"] == {"address": "10.0.0.21", "roles": ["web"], "listen": "10.0.0.21:8000"}
    assert made["agent"] == {"user": "deploy", "keys": ["ssh-ed25519 AAAA operator"], "port": 22}
    assert made["app"] == {
        "python": "3.11",
        "packages": {},
        "artifact": "tree",
        "listen": "10.0.0.22:9000",
        "variables": {"DATABASE_URL": "postgresql+psycopg://sample@10.0.0.31/sample", "PLACE": "prod"},
        "secrets": {"SECRET_KEY": "value of SECRET_KEY", "DATABASE_PASSWORD": "value of DATABASE_PASSWORD"},
        "peers": ["10.0.0.31"],
        "signers": "me ssh-ed25519 BBBB",
        "start_seconds": 30,
        "graceful_seconds": 30,
        "stop_seconds": 45,
        "summary": "sample",
        "url": "",
    }


def test_a_load_balancer_knows_its_servers_and_its_certificate(environment: Environment) -> None:
    made = pillar(sources(environment), "lb1")["slipway"]
    assert made["haproxy"] == {
        "listen": "10.0.0.11:443",
        "tls": {"certificate": "value of TLS_CERTIFICATE"},
        "servers": [{"name": "web1", "address": "10.0.0.21:8000"}, {"name": "web2", "address": "10.0.0.22:9000"}],
        "health": {"live": "/livez", "ready": "/readyz", "host": "localhost"},
        "slots": 16,
        "max_request": 60,
        "backends": [],
        "traffic": {},
        "stats": {"listen": "127.0.0.1:8404", "user": "stats", "password": "value of STATS_PASSWORD"},
    }
    assert not {"app", "postgresql", "redis"} & set(made)


def test_a_database_server_lets_in_web_and_worker_hosts_only(environment: Environment) -> None:
    made = pillar(sources(environment), "db1")["slipway"]
    assert made["postgresql"] == {
        "database": "sample",
        "roles": {
            "owner": {"name": "sample_owner", "password": "value of DATABASE_OWNER_PASSWORD"},
            "app": {"name": "sample", "password": "value of DATABASE_PASSWORD"},
            "reader": {"name": "sample_reader", "password": "value of DATABASE_READER_PASSWORD"},
        },
        "clients": ["10.0.0.21", "10.0.0.22"],
    }
    assert not {"app", "haproxy", "redis"} & set(made)


def test_redis_comes_when_it_is_switched_on(tmp_path: Path) -> None:
    environment = written(tmp_path, SERVERS + "[pillar.slipway.features]\nredis = true\nfirewall = false\n")
    made = pillar(sources(environment), "db1")["slipway"]
    assert made["redis"] == {"password": "value of REDIS_PASSWORD", "clients": ["10.0.0.21", "10.0.0.22"]}
    assert made["features"] == {**FEATURES, "redis": True, "firewall": False}
    assert "redis" not in pillar(sources(environment), "web1")["slipway"]


def test_the_files_own_pillar_is_merged_deeply_and_gives_no_host_a_part_it_lacks(tmp_path: Path) -> None:
    environment = written(
        tmp_path,
        SERVERS + '[pillar]\nowner = "ops"\nsince = 2026-01-02\n'
        "[pillar.slipway.postgresql]\nmemory_fraction = 0.5\n"
        '[pillar.slipway.haproxy.stats]\nlisten = "10.0.0.11:8404"\n',
    )
    db, lb, web = (pillar(sources(environment), host) for host in ("db1", "lb1", "web1"))
    assert db["slipway"]["postgresql"]["memory_fraction"] == 0.5
    assert db["slipway"]["postgresql"]["database"] == "sample"
    assert lb["slipway"]["haproxy"]["stats"] == {
        "listen": "10.0.0.11:8404",
        "user": "stats",
        "password": "value of STATS_PASSWORD",
    }
    assert not {"postgresql", "haproxy"} & set(web["slipway"])
    assert {made["owner"] for made in (db, lb, web)} == {"ops"}
    assert web["since"] == "2026-01-02"


def test_everything_that_is_missing_is_named(environment: Environment) -> None:
    file = environment.file.model_copy(update={"variables": {"A": "{directory}"}})
    lacking = replace(sources(replace(environment, file=file)), secrets={"SECRET_KEY": Secret("x")})
    with pytest.raises(PillarError) as raised:
        pillar(lacking, "web1")
    assert raised.value.problems[0] == "DATABASE_PASSWORD: this secret does not exist yet"
    assert raised.value.problems[1].startswith("A: unknown placeholder {directory}")
    assert "fab secrets:prod --generate" in (raised.value.hint or "")


def test_only_values_that_are_pgp_messages_ask_for_the_gpg_renderer() -> None:
    plain, sealed = as_sls({"a": "b"}), as_sls({"a": "-----BEGIN PGP MESSAGE-----\n..."})
    assert plain.startswith("#!json\n")
    assert sealed.startswith("#!json|gpg\n")
    assert json.loads(plain.partition("\n")[2]) == {"a": "b"}


hosts = st.dictionaries(
    st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.sets(st.sampled_from(ROLES), min_size=1), min_size=1, max_size=6
)


@given(hosts, st.sets(st.sampled_from(["SECRET_KEY", "DATABASE_PASSWORD", "MAIL_PASSWORD"])), st.booleans())
def test_no_host_gets_a_secret_that_its_roles_do_not_need(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, set[str]], names: set[str], redis: bool
) -> None:
    wanted = {**wanted, "front": {"lb"}, "first": {"web"}}
    entries = "".join(
        f'[hosts.{name}]\nroles = {sorted(roles)}\naddress = "10.0.1.{number}"\n'
        for number, (name, roles) in enumerate(wanted.items(), 1)
    )
    head = f'transport = "ssh"\nsecrets = {sorted(names)}\n'
    balancer = '[balancer]\nlisten = "10.0.1.200:443"\ntls = "self-signed"\n'
    features = f"[pillar.slipway.features]\nredis = {str(redis).lower()}\n"
    environment = written(tmp_path_factory.mktemp("e"), head + balancer + entries + features)
    given_to = {
        "SECRET_KEY": {"web", "worker"},
        "MAIL_PASSWORD": {"web", "worker"},
        "DATABASE_PASSWORD": {"db", *({"web", "worker"} if "DATABASE_PASSWORD" in names else ())},
        "DATABASE_OWNER_PASSWORD": {"db"},
        "DATABASE_READER_PASSWORD": {"db"},
        "REDIS_PASSWORD": {"db"},
        "TLS_CERTIFICATE": {"lb"},
        "STATS_PASSWORD": {"lb"},
    }
    for host, roles in wanted.items():
        made = pillar(sources(environment), host)
        found = {text.removeprefix("value of ") for text in strings(made) if text.startswith("value of ")}
        allowed = {name for name, holders in given_to.items() if holders & roles and name in needed(environment)}
        assert found == allowed == set(secrets_of(environment, host))


tables = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
)


@given(tables, tables)
def test_merging_keeps_what_is_not_said_again(base: Any, over: Any) -> None:
    assert merged(base, {}) == (base if isinstance(base, dict) else {})
    assert merged(base, over) == over if not isinstance(base, dict) or not isinstance(over, dict) else True
    if isinstance(base, dict) and isinstance(over, dict):
        result = merged(base, over)
        assert set(result) == set(base) | set(over)
        assert all(result[key] == base[key] for key in set(base) - set(over))
        assert all(merged(result[key], over[key]) == result[key] for key in over), "merging twice is merging once"
