"""The real application on five servers, by two commands; then each server reboots, and all of them lose their power."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from deploy.errors import SlipwayError
from deploy.fleet.machines import Machine, together
from tests.support.open_ports import documented, listening
from tests.support.servers import MIGRATED, REACHED, Servers, reference

pytestmark = pytest.mark.timeout(600)

NAME = "gazetteer"
HOSTS = ("lb1", "web1", "web2", "web3", "db1")
REDIS = "ADDRESS:6379"  # a feature that is not asked for here
CLIENTS = 6
BACK = 90.0  # seconds until all has to be back, on whatever computer
ENVIRONMENT = (
    """
transport = "ssh"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]

"""
    + REACHED
    + """\
[rollout]
batch = 3
floor = 0

[variables]
ENVIRONMENT = "fleet"
DATABASE_URL = "postgresql+psycopg://gazetteer@{db1}/gazetteer"
TRUSTED_PROXIES = 1

"""
    + MIGRATED
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Set five servers up and deploy to them."""
    with reference(tmp_path_factory.mktemp("reboot"), ENVIRONMENT, HOSTS) as made:
        yield made


def places(site: Servers) -> str:
    """Ask for what is in the database, through the load balancer, and say what came."""
    url = f"https://{site['lb1'].address}/api/v1/places?q=lisb"
    words = ["curl", "--silent", "--show-error", "--insecure", "--max-time", "5", "--write-out", " %{http_code}", url]
    return site.fleet.machines["lb1"].run(words, check=False).stdout


def in_service(site: Servers) -> bool:
    """Whether every web host takes part, and the database answers."""
    try:
        return all(host.in_service for host in site.status().values()) and places(site).endswith(" 200")
    except SlipwayError:
        return False  # somebody is still booting


def assert_all_is_back(site: Servers) -> None:
    """See that everything came back by itself, as it was."""
    end = time.monotonic() + BACK
    while not in_service(site) and time.monotonic() < end:
        time.sleep(0.2)
    said = places(site)
    assert said.endswith(" 200"), said
    assert "Lisbon" in said
    seen = site.fab("status:fleet", "--json").last["hosts"]
    assert {host["name"]: host["current"] for host in seen} == {"web1": 1, "web2": 1, "web3": 1}
    for name in HOSTS:
        assert site[name].run("systemctl --failed --no-legend --plain").stdout == "", name


@pytest.mark.parametrize("name", HOSTS)
def test_what_listens_is_what_the_page_says(site: Servers, name: str) -> None:
    assert listening(site[name]) == documented(name) - {REDIS}


@pytest.mark.parametrize("name", HOSTS)
def test_a_server_that_reboots_comes_back_by_itself(site: Servers, name: str) -> None:
    """A web host that is told to reboot leaves in order: at most what is in hand as its time runs out is lost.

    None is on a computer that has the time for it; one that has not may keep a request beyond the seconds there are.
    """
    with site.traffic(clients=CLIENTS, rate=60) as probed:
        site[name].reboot()
        assert_all_is_back(site)
    if name.startswith("web"):
        assert probed[0].failed <= CLIENTS
    assert probed[0].requests > 0


def test_servers_that_all_lose_their_power_come_back_by_themselves(site: Servers) -> None:
    machines = [site[name] for name in HOSTS]
    together(machines, Machine.power_off)
    together(machines, Machine.boot)
    assert_all_is_back(site)
