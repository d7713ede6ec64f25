"""The states of every role, compiled for every system: readable, quick, and with each secret where it belongs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import certificate
from deploy import contract as contracts
from deploy.agent import use
from deploy.agent.supervisors import systemd
from deploy.artifacts import units
from deploy.fleet.base import obstacle
from tests.support import salt
from tests.support.contracts import minimal
from tests.support.environments import JOBS, SERVERS, written
from tests.support.repository import ROOT

HOSTS = ("lb1", "web1", "web2", "jobs1", "db1")
SERVER = [f"{host} {system}" for system in salt.GRAINS for host in HOSTS]
# Any of these makes Salt's loader import every state module: 0.75 s more for each highstate (salt#39011).
SLOW = {"creates", "onlyif", "unless"}
EDGES = {"watch", "watch_any", "watch_in", "onchanges", "onchanges_any", "onchanges_in"}
SLS = sorted(path for path in salt.STATES.rglob("*") if path.suffix in (".sls", ".jinja"))


@pytest.mark.parametrize("server", SERVER)
def test_the_states_of_each_role_compile(compiled: dict[str, Any], server: str) -> None:
    assert compiled[server]["errors"] == []
    assert len(compiled[server]["low"]) > 15


@pytest.mark.parametrize("server", SERVER)
def test_each_state_has_a_name_of_its_own_that_a_person_understands(compiled: dict[str, Any], server: str) -> None:
    names = [chunk["__id__"] for chunk in compiled[server]["low"]]
    assert len(names) == len(set(names))
    assert not [name for name in names if len(name.split()) < 3 or len(name) > 100]


@pytest.mark.parametrize("server", SERVER)
def test_no_state_makes_salt_slow_or_forgets_what_a_killed_run_began(compiled: dict[str, Any], server: str) -> None:
    used = {key for chunk in compiled[server]["low"] for key in chunk}
    assert not used & SLOW
    assert not used & EDGES, "docs/decisions/0016: a run that is killed forgets an edge"


@pytest.mark.parametrize("path", SLS, ids=lambda path: str(path.relative_to(salt.STATES)))
def test_no_file_has_a_slow_key_even_where_no_test_renders_it(path: Path) -> None:
    keys = set(re.findall(r"^\s*- (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert not keys & (SLOW | EDGES)


@pytest.mark.parametrize("server", SERVER)
def test_packages_are_one_state(compiled: dict[str, Any], server: str) -> None:
    assert [chunk["fun"] for chunk in compiled[server]["low"] if chunk["state"] == "pkg"] == ["installed"]


def packages(compiled: dict[str, Any], server: str) -> set[str]:
    return set(next(chunk["pkgs"] for chunk in compiled[server]["low"] if chunk["state"] == "pkg"))


def test_each_role_installs_what_it_needs_and_no_more(compiled: dict[str, Any]) -> None:
    everywhere = {"sudo", "openssh-server", "systemd-timesyncd", "unattended-upgrades", "nftables"}
    assert packages(compiled, "lb1 debian12") == everywhere | {"haproxy"}
    assert packages(compiled, "web1 debian12") == everywhere | {"python3.11", "libmagic1"}
    assert packages(compiled, "db1 debian12") == everywhere | {"postgresql", "redis-server"}
    everywhere = {"sudo", "openssh-server", "chrony", "dnf-automatic", "nftables"}
    assert packages(compiled, "lb1 rocky9") == everywhere | {"haproxy"}
    assert "file-libs" in packages(compiled, "web1 rocky9")
    assert packages(compiled, "db1 alma9") == everywhere | {"postgresql-server", "redis"}


def test_a_role_alone_gets_its_states(compiled: dict[str, Any]) -> None:
    def concerns(server: str) -> set[str]:
        return {chunk["__sls__"].partition(".")[0] for chunk in compiled[server]["low"]}

    assert concerns("lb1 debian12") == {"base", "app", "firewall", "haproxy"}
    assert concerns("web1 debian12") == concerns("jobs1 debian12") == {"base", "app", "firewall", "python"}
    assert concerns("db1 debian12") == {"base", "app", "firewall", "postgresql", "redis"}


# Which secrets a host's pillar has, and where they may show once its states are compiled.
PLACES = {
    "SECRET_KEY": {"web": {"/etc/sample/credentials/SECRET_KEY"}},
    "DATABASE_PASSWORD": {"web": {"/etc/sample/credentials/DATABASE_PASSWORD"}, "db": set()},
    "DATABASE_OWNER_PASSWORD": {"db": set()},
    "DATABASE_READER_PASSWORD": {"db": set()},
    "REDIS_PASSWORD": {"db": {"/etc/redis/redis.conf"}},
    "STATS_PASSWORD": {"lb": {"/etc/haproxy/operators.cfg"}},
    "TLS_CERTIFICATE": {"lb": {"/etc/haproxy/certificate.pem"}},
}


@pytest.mark.parametrize("server", SERVER)
@pytest.mark.parametrize("secret", PLACES)
def test_a_secret_is_where_it_belongs_and_nowhere_else(compiled: dict[str, Any], server: str, secret: str) -> None:
    role = "web" if server.startswith(("web", "jobs")) else server[:2]
    value = re.compile(rf"the-value-of-{secret}\b")
    found = compiled[server]
    assert {place for place, text in found["files"].items() if value.search(text)} == PLACES[secret].get(role, set())
    for chunk in found["low"]:
        # Environment variables of a command reach neither its name nor its output, nor anybody's list of processes.
        shown = {key: value for key, value in chunk.items() if key != "env"}
        assert not value.search(json.dumps(shown)), f"{chunk['__id__']} would say it"
        if chunk["name"] in PLACES[secret].get(role, set()):
            assert chunk["show_changes"] is False
            assert chunk["mode"] == "0600"


def test_the_database_alone_gets_the_passwords_of_roles(compiled: dict[str, Any]) -> None:
    given = {key for chunk in compiled["db1 debian12"]["low"] for each in chunk.get("env", []) for key in each}
    assert given == {"PASSWORD_OF_sample", "PASSWORD_OF_sample_owner", "PASSWORD_OF_sample_reader"}
    for server in SERVER:
        if not server.startswith("db"):
            assert not [chunk for chunk in compiled[server]["low"] if "env" in chunk]


NEEDS = {
    "rpm": ({"rpm"}, {"rpm"}, []),
    # Red Hat's family has no package of the engine: Docker's own, or another that is there.
    "image": ({"docker.io", "apparmor"}, set(), ["docker.service"]),
}


@pytest.mark.parametrize("artifact", NEEDS)
def test_web_hosts_get_what_the_form_of_releases_needs(
    artifact: str, compiled: dict[str, Any], roots: list[Path], tmp_path: Path
) -> None:
    """And no other host does."""
    given = salt.pillars(written(tmp_path, f'artifact = "{artifact}"\n{SERVERS}'))
    servers = {
        f"{host} {system}": {"grains": salt.grains(system), "pillar": given[host]}
        for host in ("lb1", "web1")
        for system in ("debian12", "rocky9")
    }
    found = salt.compiled(servers, roots, tmp_path)
    debian, redhat, services = NEEDS[artifact]
    for server, more in (
        ("web1 debian12", debian),
        ("web1 rocky9", redhat),
        ("lb1 debian12", set()),
        ("lb1 rocky9", set()),
    ):
        assert found[server]["errors"] == []
        assert packages(found, server) == packages(compiled, server) - {"libmagic1", "file-libs"} | more
        low = [chunk for chunk in found[server]["low"] if chunk["__sls__"] == "docker"]
        assert [chunk["name"] for chunk in low if chunk["state"] == "service"] == services * server.startswith("web")


@pytest.fixture(scope="session")
def switched_off(roots: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The states of an environment that wants no feature, nor TLS, but two backends."""
    backends = '\n[balancer.backends.api]\npaths = ["/api"]\nnames = ["api.example", "api"]\nmax_request = 300\n'
    wanted = (
        backends
        + "\n[pillar.slipway.features]\n"
        + "".join(
            f"{feature} = false\n" for feature in ("firewall", "sshd", "time", "updates", "journald", "docker", "redis")
        )
    )
    environment = written(
        tmp_path_factory.mktemp("off"), 'artifact = "image"' + SERVERS.replace('"self-signed"', '"off"') + JOBS + wanted
    )
    servers = {
        host: {"grains": salt.grains("debian12"), "pillar": pillar}
        for host, pillar in salt.pillars(environment).items()
    }
    return salt.compiled(servers, roots, tmp_path_factory.mktemp("scratch"))


@pytest.mark.parametrize("host", HOSTS)
def test_what_pillar_switches_off_is_not_touched(switched_off: dict[str, Any], host: str) -> None:
    assert switched_off[host]["errors"] == []
    concerns = {chunk["__sls__"] for chunk in switched_off[host]["low"]}
    assert not concerns & {"firewall", "redis", "docker", "base.sshd", "base.time", "base.updates", "base.journald"}
    installed = set(next(chunk["pkgs"] for chunk in switched_off[host]["low"] if chunk["state"] == "pkg"))
    assert not installed & {"nftables", "docker.io", "redis-server", "unattended-upgrades", "systemd-timesyncd"}


def test_without_tls_there_is_one_plain_port(switched_off: dict[str, Any]) -> None:
    text = switched_off["lb1"]["files"]["/etc/haproxy/haproxy.cfg"]
    assert re.findall(r"^ +bind (.*)$", text, re.MULTILINE) == ["10.0.0.11:443", "127.0.0.1:8404"]
    assert "X-Forwarded-Proto http\n" in text


def test_a_family_that_nobody_wrote_states_for_is_refused(
    pillars: dict[str, Any], roots: list[Path], tmp_path: Path
) -> None:
    strange = salt.grains("debian12") | {"os": "Gentoo", "os_family": "Gentoo"}
    found = salt.compiled({"x": {"grains": strange, "pillar": pillars["web1"]}}, roots, tmp_path)["x"]
    assert "these states know the families Debian and RedHat, not Gentoo" in "".join(found["errors"])


CLEAN = sorted(path.parent.name for path in salt.STATES.glob("*/clean.sls"))


@pytest.fixture(scope="session")
def example(roots: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The states of the server in pillar.example, and what cleans up after each concern."""
    pillar = yaml.safe_load((salt.STATES / "pillar.example").read_text(encoding="utf-8"))
    contract = contracts.read(ROOT)  # the example has the project's own name
    more = salt.write_artifacts(tmp_path_factory.mktemp("example"), contract)
    servers: dict[str, Any] = {"highstate": {"grains": salt.grains("debian12"), "pillar": pillar}}
    servers |= {concern: {**servers["highstate"], "sls": f"{concern}.clean"} for concern in CLEAN}
    return salt.compiled(servers, [salt.STATES, more], tmp_path_factory.mktemp("scratch"))


def test_the_example_of_a_pillar_compiles(example: dict[str, Any]) -> None:
    assert example["highstate"]["errors"] == []
    assert {chunk["__sls__"].partition(".")[0] for chunk in example["highstate"]["low"]} == {
        "base", "app", "firewall", "python", "haproxy", "postgresql",
    }  # fmt: skip


def test_the_example_of_a_pillar_says_all_that_a_generated_one_does(
    pillars: dict[str, Any], example: dict[str, Any]
) -> None:
    shown = yaml.safe_load((salt.STATES / "pillar.example").read_text(encoding="utf-8"))["slipway"]
    for pillar in pillars.values():
        for key, value in pillar["slipway"].items():
            if key not in ("hosts", "redis"):
                assert key in shown
                assert not isinstance(value, dict) or key == "app" or set(value) <= set(shown[key])
    assert set(pillars["web1"]["slipway"]["app"]) == set(shown["app"])


@pytest.mark.parametrize("concern", CLEAN)
def test_what_cleans_up_stops_first_and_leaves_data(example: dict[str, Any], concern: str) -> None:
    assert example[concern]["errors"] == []
    low = example[concern]["low"]
    assert low[0]["fun"] == "dead"
    gone = {chunk["name"] for chunk in low if chunk["state"] == "file"}
    assert not [place for place in gone if place.startswith(("/var/", "/opt/", "/home/"))]


def test_salt_and_the_agent_write_the_same(compiled: dict[str, Any]) -> None:
    """Where both write a file, neither may undo what the other wrote."""
    files = compiled["web2 debian12"]["files"]
    drop_in = "/etc/systemd/system/sample.socket.d/listen.conf"
    assert files[drop_in] == systemd.LISTEN.format("10.0.0.22:9000")
    assert compiled["jobs1 debian12"]["files"][drop_in] == systemd.CLOSED.format("sample")
    for place, text in units.sudoers(minimal()).items():
        assert files[place] == text
    variables, tail = files["/etc/sample/sample.env"].split("\n\n")
    assert variables.strip() == units.render(minimal())["/etc/sample/sample.env"].strip()
    assert use.unquote(tail.strip().split("=", 1)[1].splitlines()[0])


def test_a_worker_may_ask_its_peers_and_nobody_may_ask_it(compiled: dict[str, Any]) -> None:
    jobs, web = (compiled[f"{host} debian12"]["files"] for host in ("jobs1", "web2"))
    for files in (jobs, web):
        for unit in ("sample@.service", "sample-worker@.service", "sample-scheduler@.service"):
            assert "IPAddressAllow=10.0.0.31\n" in files[f"/etc/systemd/system/{unit}.d/peers.conf"]
    assert "/usr/lib/systemd/system/sample-worker@.service" in jobs
    assert "8000" not in next(text for place, text in jobs.items() if place.endswith(".nft"))
    assert "9000" in next(text for place, text in web.items() if place.endswith(".nft"))


def test_every_file_of_the_tree_is_used(compiled: dict[str, Any]) -> None:
    """What no state names is left over from something."""
    text = "".join(path.read_text(encoding="utf-8") for path in SLS)
    elsewhere = (ROOT / "packaging/image/database.sh").read_text(encoding="utf-8")
    for path in salt.STATES.glob("*/files/*"):
        assert f"salt://{path.relative_to(salt.STATES)}" in text or f"/{path.name}" in elsewhere, path


DIFFER = {
    "/etc/apt/apt.conf.d/52sample",
    "/etc/postgresql-common/createcluster.d/sample.conf",
    "/etc/postgresql/15/main/conf.d/sample.conf",
    "/etc/postgresql/15/main/pg_hba.conf",
}


# What a program refuses would break a server: each file is read by the program that it is for.


def check(words: list[str], tmp_path: Path, text: str, name: str = "file") -> None:
    """Have a program read a file."""
    program = shutil.which(words[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert program, f"{words[0]} is not installed: packaging/workstation.sh dev"
    file = tmp_path / name
    file.write_text(text)
    done = subprocess.run([program, *words[1:], str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("host", HOSTS)
def test_families_differ_in_packages_and_places_only(compiled: dict[str, Any], host: str) -> None:
    """So what Debian's programs accept on machines (tests/fleet) holds for the files of RHEL, which none runs here."""
    debian, *others = (compiled[f"{host} {system}"]["files"] for system in salt.GRAINS)
    same = {"/etc/sudoers.d/sample", "/etc/ssh/sshd_config.d/10-sample.conf", "/etc/sample/firewall.nft"}
    for other in others:
        assert {place for place in debian if other.get(place) != debian[place]} <= DIFFER
        assert same <= set(other)


@pytest.mark.parametrize("server", SERVER)
def test_nft_reads_the_firewall(compiled: dict[str, Any], server: str, tmp_path: Path) -> None:
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    words = ["unshare", "--net", "/usr/sbin/nft", "-c", "-f"]  # even a check needs a network of one's own
    check(words, tmp_path, compiled[server]["files"]["/etc/sample/firewall.nft"])


@pytest.mark.parametrize("backends", [0, 1])
def test_haproxy_reads_its_configuration(
    compiled: dict[str, Any], switched_off: dict[str, Any], tmp_path: Path, backends: int
) -> None:
    files = (switched_off["lb1"] if backends else compiled["lb1 debian12"])["files"]
    assert files["/etc/haproxy/haproxy.cfg"].count("track sample/web1\n") == backends
    places = {"/etc/haproxy": str(tmp_path), "/var/lib/haproxy": str(tmp_path), "/run/haproxy": str(tmp_path)}
    text = files["/etc/haproxy/haproxy.cfg"]
    for place, there in places.items():
        text = text.replace(place, there)
    shutil.copytree(salt.STATES / "haproxy/files/errors", tmp_path / "errors")
    (tmp_path / "maintenance").touch()
    (tmp_path / "certificate.pem").write_text(certificate.self_signed(["places.example"]).reveal())
    (tmp_path / "operators.cfg").write_text(files["/etc/haproxy/operators.cfg"])
    check(["haproxy", "-c", "-f", str(tmp_path / "operators.cfg"), "-f"], tmp_path, text, "haproxy.cfg")
