"""A real machine for tests, with the agent and the units that ship on it: `server`, fresh for each test that asks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts import agent as builder
from deploy.artifacts.units import render
from deploy.fleet import machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Fleet, Machine
from tests.deploy.agent import kit
from tests.support.contracts import SCHEDULER, WORKER, minimal

NAME = "sample"
PORT = 8000
# The app's own user, directories and units, as the package of the host would install them.
INSTALL = f"""
set -e
systemd-sysusers {NAME}.conf
systemd-tmpfiles --create {NAME}.conf
systemctl daemon-reload
systemctl --quiet enable {NAME}.service
"""


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Machines of this worker; they and all traces of them go with it."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    with machines.fleet(print) as made:
        yield made


@pytest.fixture(scope="session")
def installed(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with agent and units on it, and nothing deployed."""
    machine = install(fleet.add("web1"), tmp_path_factory.mktemp("agent"))
    machine.snapshot()
    return machine


def install(machine: Machine, scratch: Path) -> Machine:
    """Put agent and units on a machine."""
    zipapp = scratch / "releasectl"
    builder.write(zipapp)
    machine.push(zipapp, f"/usr/lib/{NAME}/releasectl", 0o755)
    for path, text in render(minimal(WORKER + SCHEDULER)).items():
        target = machine.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    machine.run(INSTALL)
    return machine


class Server:
    """A machine, and the agent on it as the operator's side calls it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.listen = f"{machine.address}:{PORT}"
        self.events: list[dict[str, Any]] = []

    def argv(self, verb: str) -> list[str]:
        """Give the command line of a verb, as seen from outside."""
        return [*self.machine.enter(), f"/usr/lib/{NAME}/releasectl", "--name", NAME, verb]

    def __call__(self, verb: str, payload: bytes = b"", **arguments: Any) -> dict[str, Any]:
        """Carry out one verb.

        Raises: AgentFailure.
        """
        request = json.dumps({"id": 1, "verb": verb, **arguments}).encode() + b"\n" + payload
        done = subprocess.run(
            self.argv(verb), input=request, capture_output=True, timeout=60, check=False, env=self.machine.environment
        )
        assert done.stderr == b"", done.stderr.decode()
        self.events, answer = kit.Caller.read(done.stdout)
        if not answer["ok"]:
            raise kit.AgentFailure(answer["error"])
        return dict(answer["result"])

    def prepare(
        self, number: int, release: kit.Release, secrets: Mapping[str, str] | None = None, **variables: str
    ) -> None:
        """Stage a release and make a generation of it."""
        missing = self("missing", hashes=sorted(release.contents))["missing"]
        if missing:
            payload = kit.tar({name: data for name, data in release.contents.items() if name in missing})
            self("receive", payload, encoding="identity", length=len(payload))
        self("assemble", manifest=release.text)
        self(
            "prepare", generation=number, version=release.version, digest=release.digest, variables=variables,
            secrets={"SECRET_KEY": "hunter2"} if secrets is None else secrets,
        )  # fmt: skip

    def activate(self, number: int, deadline: float = 30) -> dict[str, Any]:
        """Activate a generation on the machine's own address."""
        return self("activate", generation=number, deadline=deadline, listen=self.listen)

    def get(self, path: str = "/") -> tuple[int, dict[str, Any]]:
        """Ask the app from outside."""
        return kit.get(PORT, path, self.machine.address)

    def show(self, unit: str, name: str) -> str:
        """Give a property of a unit."""
        return self.machine.run(["systemctl", "show", "--value", f"--property={name}", unit]).stdout.strip()


@pytest.fixture
def server(installed: Machine) -> Server:
    """The machine as it was when agent and units had just been installed."""
    installed.reset()
    return Server(installed)


@pytest.fixture(scope="session")
def serving(fleet: Fleet, real_release: kit.Release, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A second machine that serves generation 1, for tests that leave it as they found it."""
    server = Server(install(fleet.add("web2"), tmp_path_factory.mktemp("agent2")))
    server.prepare(1, real_release, {"SECRET_KEY": "sesame-4711"}, COLOUR='red "and" $green %i', LINES="one\ntwo")
    server.activate(1)
    return server


@pytest.fixture(scope="session")
def real_release(tmp_path_factory: pytest.TempPathFactory) -> kit.Release:
    """A release that really serves."""
    return kit.real(tmp_path_factory.mktemp("tree"))


def load(address: str, clients: int) -> subprocess.Popen[str]:
    """Start clients with kept connections, GET and POST in turn, that never retry; `kit.outcome` ends them."""
    import sys

    command = [sys.executable, str(Path(kit.HERE) / "load.py"), address, str(clients), "keep"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
