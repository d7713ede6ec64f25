"""Machines that Salt made what they are: `salted`, one of each role and two web hosts, booted once a worker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from deploy import certificate
from deploy.environment import Environment
from deploy.fleet import layers, machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Fleet, Machine
from tests.support import open_ports, salt
from tests.support.environments import hosts, written

# Installed beforehand, so that no test waits for a mirror. `fab bootstrap` has the tests that begin with nothing.
EVERY = ("nftables", "sudo", "systemd-timesyncd", "unattended-upgrades")
OF_ROLE = {"lb": ("haproxy",), "web": ("python3.11",), "db": ("postgresql", "redis-server")}
HOSTS = ("lb1", "web1", "web2", "db1")
ENVIRONMENT = """
transport = "ssh"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]

[balancer]
listen = "{lb1}:443"
tls = "self-signed"
names = ["sample.example"]

{hosts}

[variables]
LOG_LEVEL = "info"

[migrate.secrets]
DATABASE_PASSWORD = "DATABASE_OWNER_PASSWORD"

[pillar.slipway.features]
redis = true

[pillar.slipway.postgresql]
memory_fraction = 0.02
"""
MINION = {
    "file_client": "local", "id": "minion", "autoload_dynamic_modules": False, "root_dir": "/",
    "cachedir": "/var/cache/salt", "file_roots": {"base": ["/srv/slipway/states", "/srv/slipway/more"]},
    "pillar_roots": {"base": ["/srv/slipway/pillar"]}, "enable_fqdns_grains": False, "enable_gpu_grains": False,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a run of states did."""

    code: int
    states: Sequence[Mapping[str, Any]]

    @property
    def changed(self) -> dict[str, str]:
        """What changed, and how Salt comments it, by the names of the states."""
        return {state["__id__"]: state["comment"] for state in self.states if state["changes"]}

    @property
    def pending(self) -> dict[str, str]:
        """What would change, by a run with test=True."""
        return {state["__id__"]: state["comment"] for state in self.states if state["result"] is None}

    @property
    def failed(self) -> dict[str, str]:
        """What failed, and why."""
        return {state["__id__"]: state["comment"] for state in self.states if state["result"] is False}


@dataclass
class Salted:
    """The machines, their environment and their pillars."""

    fleet: Fleet
    environment: Environment
    pillars: dict[str, dict[str, Any]]
    certificate: str  # and its key
    more: Path  # what the operator's side makes for the states

    def __getitem__(self, name: str) -> Machine:
        return self.fleet.machines[name]

    def infra(self, name: str) -> Host:
        """Give a machine to testinfra."""
        return Host(Inside(self[name]))

    def give(self, name: str) -> None:
        """Put states and the machine's pillar on it."""
        files = {"minion": json.dumps(MINION), "pillar/top.sls": json.dumps({"base": {"*": ["host"]}})}
        files["pillar/host.sls"] = json.dumps(self.pillars[name])
        place = self[name].root / "srv/slipway"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(salt.STATES, place / "states")
        shutil.copytree(self.more, place / "more")
        for file, text in files.items():
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_text(text)

    def highstate(self, name: str, *, test: bool = False) -> Run:
        """Run the states of a machine, as `salt-call state.highstate` does."""
        self.give(name)
        return self.apply(name, "state.highstate", f"test={test}")

    def apply(self, name: str, *words: str) -> Run:
        """Run a function of Salt that applies states."""
        command = [f"/{salt.INSIDE}/bin/salt-call", "--local", "--config-dir=/srv/slipway", "--out=json", *words]
        done = self[name].run([*command, "--log-level=quiet", "--retcode-passthrough"], check=False, timeout=150)
        local = json.loads(done.stdout)["local"]
        assert isinstance(local, dict), "\n".join(local)
        return Run(done.returncode, sorted(local.values(), key=lambda state: state["__run_num__"]))

    def everywhere(self) -> dict[str, Run]:
        """Run the states of all machines at once."""
        with ThreadPoolExecutor() as pool:
            return dict(zip(HOSTS, pool.map(self.highstate, HOSTS), strict=True))

    def ask(self, command: str) -> str:
        """Send a command to HAProxy's runtime socket."""
        code = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock');"
            " s.sendall(sys.argv[1].encode() + b'\\n'); print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
        )
        return self["lb1"].run(["python3", "-c", code, command]).stdout.strip()

    def admin_states(self) -> dict[str, int]:
        """Give what HAProxy was told about each server: 0 is ready, 1 maintenance, 8 drained (srv_admin_state)."""
        rows = [line.split() for line in self.ask(f"show servers state {salt.NAME}").splitlines()[2:]]
        return {row[3]: int(row[6]) for row in rows}

    def send(self, *commands: str, change: bool = False, hold: Mapping[str, str] | None = None) -> list[str]:
        """Do so as deploy.balancer wants it done; nobody saves what changes but HAProxy's unit."""
        return ["{}" if command == "show holds" else self.ask(command) for command in commands]  # no agent keeps any

    def within(self, name: str, words: Sequence[str]) -> str:
        """Run a program of this computer in a machine's network, so that it has the machine's address; or outside."""
        enter = [] if name == "outside" else ["nsenter", "--target", str(self[name].pid), "--net", "--"]
        done = subprocess.run([*enter, *words], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def listening(self, name: str) -> set[str]:
        """List where a machine takes connections."""
        return open_ports.listening(self[name])


class Inside(BaseBackend):
    """How testinfra runs commands in a machine: as its tests do, without a connection for each."""

    NAME = "inside"

    def __init__(self, machine: Machine) -> None:
        super().__init__(hostname=machine.name)
        self.machine = machine

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command line."""
        done = self.machine.run(self.get_command(command, *args), check=False)
        return self.result(done.returncode, command.encode(), done.stdout, done.stderr)


@pytest.fixture(scope="session")
def salted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Salted]:
    """Boot the machines and bring each to what its role wants."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    with machines.fleet(print) as fleet:
        for name in HOSTS:
            packages = EVERY + OF_ROLE[name.rstrip("0123456789")]
            fleet.lower = f"{salt.bundle()}:{layers.lower(print, packages)}"
            fleet.add(name)
        addresses = {name: machine.address for name, machine in fleet.machines.items()}
        text = ENVIRONMENT.format(lb1=addresses["lb1"], hosts=hosts(addresses))
        environment = written(tmp_path_factory.mktemp("environment"), text)
        pair = certificate.self_signed(["sample.example"]).reveal()
        pillars = salt.pillars(environment, TLS_CERTIFICATE=pair)
        made = Salted(fleet, environment, pillars, pair, salt.write_artifacts(tmp_path_factory.mktemp("more")))
        for name, run in made.everywhere().items():
            assert not run.failed, (name, run.failed)
        yield made
