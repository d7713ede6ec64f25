"""Rollouts by a salt-master: a real master with its minions; the operator has a login on the master alone."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy import certificate
from deploy import contract as contracts
from deploy.artifacts import find_release
from deploy.artifacts.cache import Cache
from deploy.artifacts.rpm import packages
from deploy.fleet import access, machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Machine
from tests.deploy.agent import kit
from tests.support import salt
from tests.support.environments import hosts
from tests.support.remote import ENVIRONMENT, NAME, PYPROJECT, Remote, checkout
from tests.support.repository import ROOT

pytestmark = pytest.mark.timeout(600)

HOSTS = ("lb1", "web1", "web2")
PATIENT, IMPATIENT = "silence = 60", "silence = 12"  # seconds until a minion is given up
BIN = f"/{salt.INSIDE}/bin"
# web2 is a worker, too, from a later test on.
WORKER = """
[tool.slipway.processes.worker]
command = ["-m", "tiny_worker"]
stop_seconds = 20
"""
SALT = f"{BIN}/salt --out=json --static"


class Salted(Remote):
    """Servers that are minions."""

    patience = 400

    @property
    def master(self) -> Machine:
        """The salt-master."""
        return self["salt"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, real_release: kit.Release) -> Iterator[Salted]:
    """Boot a load balancer, two web hosts and a salt-master; deploy a first release."""
    if reason := obstacle():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("salted")
    sockets = Path(tempfile.mkdtemp(prefix="sle", dir="/tmp"))  # short: a socket's path may have 107 bytes
    bundle = certificate.self_signed(["sample.example"]).reveal()
    settings = {
        "XDG_RUNTIME_DIR": str(sockets),
        "SLIPWAY_FLEET_SECRET_KEY": secrets.token_hex(),
        "SLIPWAY_FLEET_TLS_CERTIFICATE": bundle,
    }
    with pytest.MonkeyPatch.context() as patch, machines.fleet(print, packages=("dnf", "haproxy", "rpm")) as fleet:
        for name, value in settings.items():
            patch.setenv(name, value)
        fleet.lower = f"{salt.bundle()}:{fleet.lower}"
        checkout(folder, PYPROJECT + WORKER)
        added = fleet.add_all(dict.fromkeys((*HOSTS, "salt")))
        addresses = {machine.name: machine.address for machine in added}
        master = addresses.pop("salt")
        given = access.write(fleet, folder / "access")
        text = ENVIRONMENT.format(access=given, lb=addresses["lb1"], hosts=hosts(addresses))
        text = text.replace('transport = "ssh"', 'transport = "ssh"\nengine = "salt"')
        text = text.replace("lease = 5", "lease = 45").replace("silence = 15", PATIENT)
        text += f'\n[salt]\nmaster = "{master}"\nprogram = "{BIN}/salt-run"\n'
        (folder / "deploy/environments/fleet.toml").write_text(text)
        made = Salted(folder, fleet, contracts.parse(PYPROJECT + WORKER), bundle, settings)
        try:
            for name in HOSTS:
                made.stuff(name)
            serve(made)
            for version in ("1.0", "2.0"):
                made.release(version, real_release)
            for name in HOSTS:  # only the master is left to log in to
                made[name].run("rm -r ~deploy/.ssh ~root/.ssh")
            made.deploy("1.0")
            yield made
        finally:
            made.hang_up()
            shutil.rmtree(sockets)


def serve(site: Salted) -> None:
    """Start master and minions, and give the minions the module."""
    roots = {"file_roots": {"base": ["/srv/salt"]}, "auto_accept": True, "worker_threads": 2}
    site.master.push(ROOT / "salt", "/srv/salt")
    site.write(site.master, {"/etc/salt/master": json.dumps(roots)})
    site.master.run(f"systemd-run --quiet --unit=salt-master {BIN}/salt-master")
    for name in HOSTS:
        minion = {"master": site.master.address, "id": name, "autoload_dynamic_modules": False}
        minion |= {"enable_fqdns_grains": False, "enable_gpu_grains": False}
        site.write(site[name], {"/etc/salt/minion": json.dumps(minion)})
        site[name].run(f"systemd-run --quiet --unit=salt-minion {BIN}/salt-minion")
    end = time.monotonic() + 150
    answered: set[str] = set()
    while answered != set(HOSTS):
        assert time.monotonic() < end, site.master.run("journalctl -u salt-master | tail -20").stdout
        said = site.master.run(f"{SALT} -t 20 '*' saltutil.sync_modules", check=False, timeout=60).stdout
        with suppress(ValueError):
            answered = {host for host, done in json.loads(said).items() if isinstance(done, list)}


def test_a_rollout_under_load_loses_nothing_and_the_same_again_is_nothing_to_do(site: Salted) -> None:
    assert site.versions() == {"1.0"}
    with site.traffic() as probed:
        done = site.deploy("2.0").last
    assert site.versions() == {"2.0"}
    assert done["prober"]["failed"] == 0
    assert probed[0].failed == 0, probed[0]
    assert probed[0].requests > 100
    again = site.deploy("2.0", expect=10)
    assert again.last["outcome"] == "nothing-to-do"
    site.fab("rollback:fleet")
    assert site.versions() == {"1.0"}


def test_looking_and_running_work_but_nothing_follows(site: Salted) -> None:
    site.fab("run:fleet", "--host", "web2", "its arguments")
    logged = site.fab("logs:fleet", "--limit", "web1", "--lines", "2").out
    assert [line.split()[0] for line in logged.splitlines()] == ["web1", "web1"]
    refused = site.fab("logs:fleet", "--limit", "web1", "--follow", expect=None)
    assert refused.code
    assert "logs --follow needs a stream" in refused.err


def test_workers_and_rpms_come_by_the_master_too(site: Salted, real_release: kit.Release) -> None:
    version = site.release("3.0", real_release)
    tree = find_release(site.path / "dist", version)
    packages.make(packages.release_recipe(site.contract, tree), site.path / "dist", Cache(site.path / "var/cache"))
    worker, rpm = '[hosts.web2]\nroles = ["web", "worker"]', 'engine = "salt"\nartifact = "rpm"'
    site.file.write_text(site.file.read_text().replace('[hosts.web2]\nroles = ["web"]', worker))
    with site.edited('engine = "salt"', rpm), site.traffic() as probed:
        done = site.deploy(version)
    assert probed[0].failed == 0, probed[0]
    assert "1 rpm" in done.out
    assert site.versions() == {version}
    assert f"{NAME}-release-{version}" in site["web1"].run("rpm --query --all").stdout
    processes = {name: {p.name for p in host.processes} for name, host in site.status().items()}
    assert processes == {"web1": {"web"}, "web2": {"web", "worker"}}


def test_no_secret_is_published_or_kept_by_the_master(site: Salted) -> None:
    """Every minion hears what is published, and the master keeps it: what it keeps is sealed."""
    secret = site.settings["SLIPWAY_FLEET_SECRET_KEY"]
    assert site["web1"].run("grep -rlF -f - /etc /opt /var/lib /srv", data=secret, check=False).stdout
    assert not site.master.run("grep -rlF -f - /var/cache/salt /srv /var/log /tmp", data=secret, check=False).stdout
    assert list((site.master.root / "var/cache/salt/master/jobs").rglob(".load.p"))
    assert not list((site.master.root / "srv/salt/slipway-relay").iterdir())
    assert not site["lb1"].run(f"grep -rlF -f - /var/cache /var/log /etc/{NAME}", data=secret, check=False).stdout


def test_a_minion_that_is_dead_is_named_with_what_to_type(site: Salted) -> None:
    site["web2"].run("systemctl kill --signal=KILL salt-minion")
    site.hang_up()
    with site.edited(PATIENT, IMPATIENT):
        failed = site.fab("deploy:fleet", "--version", "2.0", expect=None)
    assert failed.code in (20, 30), failed
    assert "web2: can't be reached: its salt-minion has not answered the master for 12 s" in failed.err
    assert "salt web2 test.ping" in failed.err
    assert "web1: can't" not in failed.err
    with site.edited(PATIENT, IMPATIENT):
        site.fab("deploy:fleet", "--version", "2.0", "--skip-unreachable")
        spared = site.fab("status:fleet", "--json", expect=None)
    assert "fenced" in spared.out, spared


def test_a_master_that_is_down_is_named_with_what_to_type(site: Salted) -> None:
    site.master.run("systemctl kill --signal=KILL salt-master")
    failed = site.fab("deploy:fleet", "--version", "1.0", expect=20)
    assert f"the salt-master {site.master.address} can't be worked with: nothing answers on its port 4506" in failed.err
    assert "systemctl status salt-master" in failed.err
