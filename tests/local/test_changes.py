"""An environment that changes under one's hands: addresses, hosts, a lost database, damaged files, two deployers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
import urllib.request
from pathlib import Path

from deploy import contract
from deploy.artifacts import ReleaseTree
from deploy.balancer import Balancer, unix_sender
from deploy.hosts import LOCAL_BALANCER
from tests.deploy.agent import kit
from tests.local.conftest import HOSTS, Site, stopped
from tests.support.ports import free_ports


def test_changed_addresses_move_host_by_host_without_losing_a_request(site: Site, base: ReleaseTree) -> None:
    """In every backend: a part of the requests has got one of its own meanwhile."""
    site.ensure(base)
    site.edit("[rollout]\n", '[balancer.backends.orders]\npaths = ["/orders"]\n\n[rollout]\n')
    for old, new in zip(site.ports[1:], free_ports(2), strict=True):
        site.edit(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    site.settings = site.environment.read_text()  # the next suite may have it like that
    with site.traffic() as probed:
        site.fab("bootstrap:local")
        assert site.deploy(base).last["generation"] == site.status()["web1"].current
        site.deploy(base, expect=10)
    assert probed[0].failed == 0, probed[0]
    for host in site.status().values():
        assert host.listening == host.listen
        assert host.server
        assert host.server.address == host.listen
        assert host.server.place == "ready, up"
    send = unix_sender(site.directory / LOCAL_BALANCER / "run" / "admin.sock")
    (states,) = send("show servers state")
    addresses = [row[4] + ":" + row[18] for line in states.splitlines()[2:] if len(row := line.split()) > 18]
    assert sorted(addresses) == sorted(2 * [str(host.listen) for host in site.status().values()])
    every, orders = Balancer(contract.read(site.path).name, send).counters().values()
    assert all(counted[host].answers and not counted[host].lost for counted in (every, orders) for host in HOSTS)


def test_a_balancer_address_that_is_taken_is_an_error_every_time(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    (other,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", other))
        taken.listen()
        with site.edited(f"127.0.0.1:{site.ports[0]}", f"127.0.0.1:{other}"):
            for _ in range(2):
                assert "haproxy refuses" in site.fab("bootstrap:local", expect=2).err
    assert "nothing to do" in site.fab("bootstrap:local").out
    with urllib.request.urlopen(f"{site.url}/livez", timeout=5) as answer:
        assert answer.status == 200


def test_rolling_back_leads_to_what_ran_before_even_when_that_was_deployed_twice(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    for release in (base, newer, base):
        site.ensure(release)
    site.fab("rollback:local")
    assert site.versions() == {newer.version}


def test_a_damaged_description_of_a_generation_is_left_behind(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    number = site.status()["web1"].current
    (site.root("web1") / "generations" / str(number) / "meta.json").write_text("{")
    assert site.status()["web1"].unreadable == (number,)
    with site.traffic() as probed:
        site.deploy(base)
    assert probed[0].failed == 0
    assert {h.current for h in site.status().values()} == {(number or 0) + 1}


def test_a_database_that_is_gone_is_made_again_once_nothing_is_ready(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    shutil.rmtree(site.directory / "db")
    (site.directory / "db").mkdir()
    for pids in site.pids().values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    kit.eventually(lambda: not any(site.pids().values()), seconds=30)  # workers of a killed master last a second
    done = site.deploy(base)
    assert {"migrate", "seed"} <= {e["step"]["kind"] for e in done.events if e["event"] == "end"}
    with urllib.request.urlopen(f"{site.url}/goods?q=banana", timeout=10) as answer:
        assert json.load(answer) == {"items": ["banana"]}


def test_a_new_host_that_fails_does_not_keep_the_others_from_going_back(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    (port,) = free_ports(1)
    running = site.status()["web1"].current
    with site.edited("[rollout]", f'[hosts.web3]\nroles = ["web"]\nlisten = "127.0.0.1:{port}"\n\n[rollout]'):
        site.fab("bootstrap:local")
        process = site.start("deploy:local", "--version", newer.version, "--json")
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "begin" and (event["step"]["kind"], event["step"]["host"]) == ("switch", "web1"):
                break
        agents = [p for p in pids() if is_session(p, site.root("web1"))]
        assert agents
        for pid in agents:
            os.kill(int(pid), signal.SIGKILL)
        out, err = process.communicate()
        assert process.returncode in (20, 21), out + err
        for name in HOSTS:
            host = site.status()[name]
            assert host.current == running
            assert host.in_service
    site.fab("bootstrap:local")


def pids() -> list[str]:
    """List the processes of the machine."""
    return [path.name for path in Path("/proc").glob("[0-9]*")]


def is_session(pid: str, root: os.PathLike[str]) -> bool:
    """Say whether a process is an agent's session for this host."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"session" in words and os.fsencode(root) in words


def test_a_deployer_that_was_overtaken_touches_nothing_any_more(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    with site.edited("keep = 5", "keep = 5\nlease = 5"):
        first = site.start("deploy:local", "--version", newer.version, "--json")
        assert first.stdout
        for line in first.stdout:
            event = json.loads(line)
            if event["event"] == "begin" and event["step"]["kind"] == "drain":
                break
        os.kill(first.pid, signal.SIGSTOP)
        rest: list[str] = []
        reader = threading.Thread(target=lambda: rest.extend(first.stdout or ()))
        reader.start()
        time.sleep(6)
        site.deploy(newer)
        os.kill(first.pid, signal.SIGCONT)
        assert first.wait(60) == 3
        reader.join()
    outcome = json.loads(rest[-1])
    assert "another deployer has taken over" in outcome["message"]
    assert site.versions() == {newer.version}
    assert all(h.in_service for h in site.status().values())
    if first.stderr:
        first.stderr.close()
    first.stdout.close()


def test_destroy_waits_for_nobody_but_refuses_while_a_deployer_is_at_work(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    with site.edited("keep = 5", "keep = 5\nlease = 600"):
        deployer = site.start("deploy:local", "--version", newer.version, "--json")
        assert deployer.stdout
        json.loads(deployer.stdout.readline())
    with stopped(deployer):
        refused = [site.fab(task, expect=None) for task in ("destroy:local", "bootstrap:local")]
    deployer.communicate()
    assert [r.code for r in refused] == [3, 3]
    assert deployer.returncode == 0
    assert site.versions() == {newer.version}
