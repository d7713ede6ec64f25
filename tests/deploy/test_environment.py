"""Environment files: read, checked in full, and each mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.environment import DIRECTORY, ROOT, EnvironmentFileError, names, read
from deploy.errors import SlipwayError
from tests.support.environments import hosts, written

LOCAL = (DIRECTORY / "local.toml").read_text()


def test_every_environment_that_comes_with_the_repository_is_sound() -> None:
    assert "local" in names()
    for name in names():
        environment = read(name)
        assert environment.web
        assert environment.directory.is_absolute()


@pytest.mark.parametrize("example", sorted(DIRECTORY.glob("*.toml.example")), ids=lambda path: path.name)
def test_every_example_is_sound_once_it_is_copied(tmp_path: Path, example: Path) -> None:
    """They have names of their own, so that nobody deploys to addresses of the documentation."""
    name = example.name.partition(".")[0]
    environment = written(tmp_path, example.read_text(), name)
    assert environment.remote
    assert environment.file.variables["ENVIRONMENT"] == name
    assert not (DIRECTORY / f"{name}.toml").exists()
    for address in (host.address for host in environment.hosts.values()):
        assert address.startswith(("192.0.2.", "198.51.100.")), "RFC 5737: reserved for documentation"


def test_it_says_where_things_are(tmp_path: Path) -> None:
    environment = written(tmp_path, LOCAL, "sample")
    assert (environment.name, environment.url) == ("sample", "http://127.0.0.1:8100")
    assert environment.directory == ROOT / "var/local"
    assert list(environment.web) == ["web1", "web2"]
    assert environment.file.rollout.batch == 1


def test_numbers_may_be_variables(tmp_path: Path) -> None:
    environment = written(tmp_path, LOCAL + "WORKERS = 3\nRATIO = 0.5\n", "sample")
    assert environment.file.variables["WORKERS"] == "3"
    assert environment.file.variables["RATIO"] == "0.5"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('listen = "127.0.0.1:8102"', 'listen = "127.0.0.1:8101"', "web2 and web1 both listen on 127.0.0.1:8101"),
        ('listen = "127.0.0.1:8102"', 'listen = "8102"', 'expected "ADDRESS:PORT"'),
        ("[hosts.web2]", "[hosts.Web_2]", "lower-case letters, digits and dashes"),
        ('["web"]', '["db"]', 'at least one host with roles = ["web"]'),
        ("LOG_LEVEL", "log_level", "upper case"),
        ("LOG_LEVEL", "SECRET_KEY", "both a variable and a secret"),
        ('LOG_LEVEL = "INFO"', "LOG_LEVEL = true", "expected text"),
        ("batch = 1", "batch = 0", "a number of hosts"),
        ("batch = 1", "batch = true", "a number of hosts"),
        ("drain_timeout = 30", "drain_timeout = -1", "greater than 0"),
        ("keep = 5", "keep = 1", "rollout.keep"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in LOCAL
    with pytest.raises(EnvironmentFileError) as raised:
        written(tmp_path, LOCAL.replace(old, new), "sample")
    assert says in raised.value.report()
    assert "deploy/environments/sample.toml:" in raised.value.report()


def test_an_unknown_environment_suggests_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, LOCAL, "production")
    with pytest.raises(EnvironmentFileError, match=r"unknown environment \"prodution\"; did you mean 'production'\?"):
        read("prodution", tmp_path)


SERVERS = """
transport = "ssh"
[balancer]
listen = "10.0.0.11:443"
tls = "self-signed"
[variables]
DATABASE_URL = "postgresql+psycopg://app@10.0.0.31/app"
[migrate.variables]
DATABASE_URL = "postgresql+psycopg://app_owner@10.0.0.31/app"
[migrate.secrets]
DATABASE_PASSWORD = "DATABASE_OWNER_PASSWORD"
""" + hosts({"lb1": "10.0.0.11", "web1": "10.0.0.21", "db1": "10.0.0.31"})


def test_servers_have_addresses_and_listen_on_them(tmp_path: Path) -> None:
    environment = written(tmp_path, SERVERS, "sample")
    assert environment.remote
    assert environment.url == "https://10.0.0.11"
    assert environment.hosts["web1"].listen == "10.0.0.21:8000"
    assert environment.hosts["db1"].listen == ""
    assert environment.directory == ROOT / "var/sample"
    assert list(environment.having("lb")) == ["lb1"]


def test_a_worker_runs_the_application_and_listens_nowhere(tmp_path: Path) -> None:
    """On servers, and in directories; hosts that serve come first."""
    jobs = '[hosts.jobs1]\nroles = ["worker"]\n'
    servers = written(tmp_path, SERVERS.replace("[hosts.lb1]", f'{jobs}address = "10.0.0.41"\n[hosts.lb1]'), "sample")
    local = written(tmp_path, LOCAL.replace("[hosts.web1]", f"{jobs}[hosts.web1]"), "sample")
    for environment in (servers, local):
        assert next(iter(environment.app)) == "web1"
        assert "jobs1" in environment.app
        assert "jobs1" not in environment.web
        assert (environment.hosts["jobs1"].listen, environment.hosts["jobs1"].processes) == ("", ("worker",))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["db"]', '["worker"]\nlisten = "10.0.0.31:8000"', "hosts.db1.listen: expected only where roles has web"),
        ('address = "10.0.0.21"\n', "", "hosts.web1: expected address"),
        ('"10.0.0.21"', '"web1.example"', "expected an IP address"),
        ('roles = ["lb"]', 'roles = ["db"]', 'roles = ["lb"]'),
        ('transport = "ssh"', 'transport = "local"', 'only with transport = "ssh"'),
        ('"DATABASE_OWNER_PASSWORD"', '"A"\nDATABASE_URL = "B"', "DATABASE_URL is both a variable and a secret"),
    ],
)
def test_what_does_not_fit_servers_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in SERVERS
    with pytest.raises(EnvironmentFileError) as raised:
        written(tmp_path, SERVERS.replace(old, new), "sample")
    assert says in raised.value.report()


@given(st.text(max_size=200))
def test_no_text_at_all_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "fuzz.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SlipwayError):
        read("fuzz", directory)


def test_what_does_not_fit_the_number_of_hosts_is_told_where_it_stands(tmp_path: Path) -> None:
    wrong = {"canary = 1 ": "canary = 3 ", "floor = 1 ": 'floor = 3\nmax_unavailable = "40%"\npause = "ask" #'}
    text = LOCAL
    for old, new in wrong.items():
        text = text.replace(old, new)
    with pytest.raises(EnvironmentFileError) as caught:
        written(tmp_path, text, "sample")
    lines = text.splitlines()
    where = {
        key: f"deploy/environments/sample.toml:{next(n for n, line in enumerate(lines, 1) if line.startswith(key))}:1"
        for key in ("pause", "canary", "floor", "max_unavailable")
    }
    (problem,) = caught.value.problems
    assert problem == f'{where["pause"]}: rollout.pause: expected seconds from 0 to 86400, or "confirm", got "ask"'
    with pytest.raises(EnvironmentFileError) as caught:
        written(tmp_path, text.replace('pause = "ask"', 'pause = "confirm"'), "sample")
    canary, floor, unavailable = caught.value.problems
    assert canary == f"{where['canary']}: rollout.canary: expected at most 2, the number of web hosts, got 3"
    assert floor == f"{where['floor']}: rollout.floor: expected at most 2, the number of web hosts, got 3"
    expected = "expected a share that is at least one of 2 web hosts; 0 says that none may be out of service"
    assert unavailable == f'{where["max_unavailable"]}: rollout.max_unavailable: {expected}, got "40%"'


def test_a_rollout_may_be_told_to_pause(tmp_path: Path) -> None:
    environment = written(tmp_path, LOCAL, "sample")
    assert environment.file.rollout.pause == 0
    assert environment.pausing().file.rollout.pause == "confirm"


def test_each_of_several_load_balancers_listens_at_an_address_that_it_has(tmp_path: Path) -> None:
    text = SERVERS + '\n[hosts.lb2]\nroles = ["lb"]\naddress = "10.0.0.12"\n'
    with pytest.raises(EnvironmentFileError) as refused:
        written(tmp_path, text)
    assert 'balancer.listen: expected "0.0.0.0:443"' in refused.value.problems[0]
    assert written(tmp_path).doors == ("10.0.0.11:443",)
    two = written(tmp_path, text.replace("10.0.0.11:443", "0.0.0.0:443"))
    assert two.doors == ("10.0.0.11:443", "10.0.0.12:443")
    shared = written(tmp_path, text.replace("10.0.0.11:443", "10.0.0.10:443").replace("names =", "# names ="))
    assert (shared.doors, shared.url) == (("10.0.0.10:443",), "https://10.0.0.10")
