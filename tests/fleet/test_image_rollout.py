"""Releases that come as images, on a machine with systemd and a Docker engine of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from deploy.artifacts import ReleaseTree
from deploy.fleet import machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Machine
from tests.deploy.agent import kit
from tests.deploy.agent.kit import eventually, outcome
from tests.support import images
from tests.support.machine import NAME, Server, install, load
from tests.support.staging import Operator


@dataclass
class Site:
    """A server, and the operator's side of it."""

    server: Server
    operator: Operator

    def serve(self, number: int, release: ReleaseTree, artifact: str = "image") -> None:
        self.operator.bring(release, artifact)
        self.operator.prepare(number, release, COLOUR="blue")
        self.server.activate(number, deadline=30)

    def sh(self, command: str) -> str:
        return self.server.machine.run(command).stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := obstacle():
        pytest.skip(reason)
    with machines.fleet(print, packages=("docker.io",)) as fleet:
        machine = install(fleet.add("img1"), tmp_path_factory.mktemp("agent"))
        images.let_engine_run(machine)
        done = machine.run("systemctl restart docker && docker version", check=False)
        if done.returncode:
            pytest.skip(f"no Docker engine runs inside of a machine here: {done.stderr}")
        yield machine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReleaseTree]:
    app = kit.real(tmp_path_factory.mktemp("app"))
    out = tmp_path_factory.mktemp("dist")
    versions = (replace(app, version=version, changes={"name": NAME}) for version in ("1.0", "2.0", "3.0"))
    return {release.version: images.of_release(release, out) for release in versions}


@pytest.fixture(scope="module")
def site(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Site:
    server = Server(machine)
    return Site(server, Operator(tmp_path_factory.mktemp("operator"), server, server.argv))


def test_images_roll_out_and_back_under_systemd(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """From files to an image, to another, and back to the files: one socket, one user, no request lost."""
    one, two, three = made.values()
    server = site.server
    site.serve(1, one, "tree")
    clients = load(server.listen, 8)
    site.operator.bring(two, "image")
    site.operator.prepare(2, two, COLOUR="blue")
    assert server("trial", generation=2, check="ready", deadline=30)["status"] == 200
    assert server("migrate", generation=2, command="migrate", timeout=30)["output"] == "migrated 2\n"
    server.activate(2, deadline=30)
    assert server.show(f"{NAME}-image@2.service", "ActiveState") == "active"
    lack, said = site.operator.bring(three, "image")
    assert (lack.files, said) == (1, f"1 layer, {lack.bytes / 1000:.1f} kB sent")
    site.serve(3, three)
    assert server("rollback", to=1, deadline=30, listen=server.listen)["previous"] == 3
    server.activate(3, deadline=30)
    counted = outcome(clients)
    assert counted["failures"] == []
    assert all(counted[f"generation {number}"] for number in (1, 2, 3))
    [process] = server("status")["processes"]
    assert (process["generation"], process["ready"], process["workers"]) == (3, True, 2)
    assert site.sh("docker ps --all --format '{{.Names}}'") == f"{NAME}-3\n"


def test_the_app_is_itself_in_a_container(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """The service's own user, variables as ever, secrets in memory alone, and its words in the journal of its unit."""
    site.serve(3, made["3.0"])
    said = site.server.get("/environ")[1]
    assert said["environ"].pop("SECRET_KEY_FILE") == "/run/credentials/SECRET_KEY"
    assert (said["cwd"], said["prefix"]) == (f"/var/lib/{NAME}/state", f"/opt/{NAME}/releases/3.0")
    uid = site.sh(f"id -u {NAME}").strip()
    inside = "id -u; stat -c %a:%u /run/credentials/SECRET_KEY; cat /run/credentials/SECRET_KEY"
    assert site.sh(f"docker exec {NAME}-3 sh -c '{inside}'").splitlines() == [uid, f"400:{uid}", "sesame-4711"]
    assert "sesame" not in site.sh(f"docker inspect {NAME}-3; journalctl --no-pager -o export; docker info")
    processes = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -c [s]esame"
    assert site.server.machine.run(processes, check=False).stdout == "0\n"
    site.server("logs", lines=50, generation=3)
    assert any("Booting worker" in event["text"] for event in site.server.events if event["event"] == "line")
    code = "import os; print(os.getuid(), open('/proc/self/status').read().count('CapEff:\\t0000000000000000'))"
    site.server("run", argv=["-c", code], generation=3, timeout=30)
    assert "".join(event["text"] for event in site.server.events if event["event"] == "output") == f"{uid} 1\n"


def test_what_is_killed_comes_back(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """The process that keeps the container, the container, the engine: systemd starts the generation again."""
    site.serve(3, made["3.0"])
    unit = f"{NAME}-image@3.service"

    def serves_anew(kill: str) -> None:
        before = site.server.show(unit, "InvocationID")
        site.sh(kill)
        eventually(lambda: site.server.show(unit, "InvocationID") != before, 30)
        eventually(lambda: [p for p in site.server("status")["processes"] if p["ready"]], 30)
        assert site.server.get()[1]["generation"] == "3"
        assert site.sh("docker ps --all --format '{{.Names}}'") == f"{NAME}-3\n"

    serves_anew(f"kill -9 {site.server.show(unit, 'MainPID')}")
    serves_anew(f"docker kill {NAME}-3")
    serves_anew("systemctl restart docker")
    serves_anew(f"systemctl stop {NAME}.service {NAME}.socket; systemctl start {NAME}.service")


def test_an_engine_that_restarts_takes_no_request_with_it(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """As security updates restart it by night; with the setting that salt/docker makes."""
    site.serve(3, made["3.0"])
    settings = site.server.machine.root / "etc/docker/daemon.json"
    before = settings.read_text()
    settings.write_text(json.dumps({**images.SETTINGS, "live-restore": True}))
    site.sh("systemctl reload docker")
    eventually(lambda: site.sh("docker info --format '{{.LiveRestoreEnabled}}'") == "true\n", 10)
    unit = f"{NAME}-image@3.service"
    invocation = site.server.show(unit, "InvocationID")
    clients = load(site.server.listen, 8)
    try:
        site.sh("systemctl restart docker")
        eventually(lambda: site.server("status")["forms"]["image"] == [], 30)
        site.serve(2, made["2.0"])  # and the engine knows it still: it ends when it is asked to
        assert outcome(clients)["failures"] == []
        assert site.server.show(unit, "InvocationID") in ("", invocation)
        assert site.sh("docker ps --all --format '{{.Names}}'") == f"{NAME}-2\n"
    finally:
        settings.write_text(before)
        site.sh("systemctl reload docker")


def test_a_stopped_engine_is_what_the_server_says_it_lacks(site: Site) -> None:
    site.sh("systemctl stop docker.socket docker.service")
    try:
        assert site.server("status")["forms"]["image"] == ["a Docker engine that answers at unix:///run/docker.sock"]
    finally:
        site.sh("systemctl start docker.socket docker.service")
        eventually(lambda: [p for p in site.server("status")["processes"] if p["ready"]], 30)


def test_a_worker_runs_in_a_container_and_finishes_its_job(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """Ready by its own word, switched with the web server, and back when it is killed."""
    server, queue = site.server, kit.Queue(site.server.machine.root / f"var/lib/{NAME}/state")

    def activate(number: int, *processes: str) -> set[tuple[int, str, bool]]:
        server("activate", generation=number, deadline=30, listen=server.listen, processes=[*processes])
        return {(p["generation"], p["process"], p["ready"]) for p in server("status")["processes"]}

    for number, version in ((2, "2.0"), (3, "3.0")):
        site.operator.bring(made[version], "image")
        site.operator.prepare(number, made[version], COLOUR="blue")
    assert activate(3, "web", "worker") == {(3, "web", True), (3, "worker", True)}
    unit = f"{NAME}-worker-image@3.service"
    assert server.show(unit, "ActiveState") == "active"
    invocation = server.show(unit, "InvocationID")
    site.sh(f"kill -9 {server.show(unit, 'MainPID')}")
    eventually(lambda: server.show(unit, "InvocationID") not in ("", invocation), 30)
    eventually(lambda: server.show(unit, "ActiveState") == "active", 30)
    queue.put("held", 3)
    eventually(lambda: queue.taken("held"), 30)
    assert activate(2, "web", "worker") == {(2, "web", True), (2, "worker", True)}
    queue.put("next")
    eventually(lambda: "next" in queue.done(), 30)
    assert queue.done() == {"held": "3", "next": "2"}
    assert set(site.sh("docker ps --all --format '{{.Names}}'").split()) == {f"{NAME}-2", f"{NAME}-worker-2"}
    assert activate(2, "web") == {(2, "web", True)}
    assert site.sh("docker ps --all --format '{{.Names}}'") == f"{NAME}-2\n"


def test_an_image_goes_with_its_release(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    site.serve(2, made["2.0"])
    site.serve(3, made["3.0"])
    assert {found["version"]: found["problems"] for found in site.server("verify", version=None)["releases"]}[
        "3.0"
    ] == []
    assert "2.0" in site.server("prune", keep=1)["releases"]
    assert site.sh(f"docker images --format '{{{{.Tag}}}}' {NAME}") == "3.0\n"
    assert [release.version for release in site.operator.observe().releases] == ["3.0"]
