"""`kill -9` of the operator at every step of a rollout, then the same command again."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios

import pytest

from deploy.agent import holds
from deploy.agent.layout import Layout
from deploy.artifacts import ReleaseTree
from tests.deploy.agent import kit
from tests.local.conftest import FAB, HOSTS, Site, processes_in, stopped

# Each kind of step of a rollout that sends nothing and migrates nothing, on each host.
POINTS = [
    ("stage", "web1"),
    ("trial", "web2"),
    *((kind, host) for host in HOSTS for kind in ("drain", "switch", "ready", "restore")),
    ("prune", "web2"),
]


def kill_at(process: subprocess.Popen[str], kind: str, host: str) -> bool:
    """Let `fab` run until the step begins, and kill it and nothing else; False when it had ended by then."""
    assert process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "begin" and (event["step"]["kind"], event["step"]["host"]) == (kind, host):
            break
    else:
        raise AssertionError(f"the rollout ended before {kind} on {host}: {process.stderr and process.stderr.read()}")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def finish(site: Site, base: ReleaseTree, after: int, where: str) -> str:
    """Type one of the three commands that put things right, in turn; say whose generation shall run then."""
    command = ("deploy", "resume", "abort")[after % 3]
    if command == "deploy":
        assert site.deploy(base, expect=None).code in (0, 10), where
        return "new"
    done = site.fab(f"{command}:local", "--json", expect=None)
    if done.code == 10 or (done.code == 2 and "none of it was staged" in done.err):
        # It had ended by itself before it could be killed, or was killed before anything was there to go on with.
        assert site.deploy(base, expect=None).code in (0, 10), where
        return "new"
    assert done.code == 0, f"{command} {where}\n{done.out}\n{done.err}"
    assert "last step: " in done.events[0]["text"], where
    assert site.fab(f"{command}:local", expect=10).out.startswith("nothing to do"), where
    return "old" if command == "abort" else "new"


@pytest.mark.timeout(400)
def test_whatever_is_typed_after_a_kill_ends_clean_and_no_request_fails(site: Site, base: ReleaseTree) -> None:
    """At each boundary of steps: deploy again, resume, or abort, in turn."""
    site.ensure(base)
    level = 'LOG_LEVEL = "INFO"'
    killed: list[tuple[str, str]] = []
    with site.traffic() as probed:
        for number in range(4 * len(POINTS)):
            kind, host = POINTS[len(killed)]
            where = f"after a kill at {kind} on {host}"
            before = {name: seen.current for name, seen in site.status().items()}
            # Another variable, so that there is a new generation to stage and to try each time.
            with site.edited(level, f'{level}\nROUND = "{number}"'):
                if kill_at(site.start("deploy:local", "--version", base.version, "--json"), kind, host):
                    killed.append((kind, host))
                expected = finish(site, base, len(killed), where)
                for name, seen in site.status().items():
                    at = f"{name} {where}"
                    runs_new = f"ROUND={number}" in (site.root(name) / "current" / "env").read_text()
                    assert runs_new == (expected == "new"), at
                    assert expected == "new" or seen.current == before[name], at
                    assert seen.in_service, at
                    assert len(seen.processes) == 1, at
                    assert not seen.deployer, at
                assert holds.read(Layout.under(site.root("lb"))) == {}, where
                if killed == POINTS:
                    break
    assert killed == POINTS
    assert probed[0].failed == 0, probed[0]
    site.deploy(base)
    site.deploy(base, expect=10)


def test_an_unfinished_rollout_is_shown_with_what_to_type(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    assert "unfinished" not in site.fab("status:local").out
    while not kill_at(site.start("deploy:local", "--version", newer.version, "--json"), "switch", "web2"):
        site.deploy(base)
    generation = max(host.current or 0 for host in site.status().values())
    for task in ("status", "doctor"):
        said = site.fab(f"{task}:local", expect=None).out
        assert f"(deploy of {newer.version} as generation {generation})" in said, said
        # The host may never have heard of the step at which it was killed.
        assert re.search(r"last step: (drain|switch) web2", said), said
        assert "resume:local goes on" in said
        assert "abort:local goes back" in said
    resumed = site.fab("resume:local")
    found, plan, *_ = resumed.out.splitlines()
    assert found.startswith("found rollout ")
    assert plan.startswith(f"local: {newer.version} as generation {generation}, ") or "all of it is done" in plan
    assert site.versions() == {newer.version}
    killed, *_ = [
        past for past in json.loads(site.fab("history:local", "--json").out)["rollouts"] if past["task"] == "deploy"
    ]
    assert (killed["exit"], killed["message"].split(": ")[1].split()[0]) == (0, "resume")
    assert "unfinished" not in site.fab("status:local").out


def test_what_was_never_staged_can_be_closed_and_not_resumed(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    running = site.status()["web1"].current
    begun = {"rollout": "20000101T000000Z-dead", "kind": "rollout", "phase": "begin", "detail": "deploy"}
    what = {"generation": (running or 0) + 1, "version": base.version, "by": "ann@desk", "before": running}
    for host in HOSTS:  # a deployer got as far as this, and was killed
        kit.call(Layout.under(site.root(host)), "ledger", append=[{**begun, **what, "host": host}])
    refused = site.fab("resume:local", expect=2)
    assert "is on no host: none of it was staged" in refused.err
    assert f"deploy:local --version {base.version} begins anew" in refused.err
    assert "nothing was left to do" in site.fab("abort:local").out
    assert {host.current for host in site.status().values()} == {running}
    site.fab("resume:local", expect=10)


def test_a_drained_server_comes_back_by_itself(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    """Nobody types anything: the load balancer's agent sees that the deployer is gone, and that the server answers."""
    site.ensure(base)
    with site.traffic() as probed:
        while not kill_at(site.start("deploy:local", "--version", newer.version, "--json"), "switch", "web1"):
            site.deploy(base)
        kit.eventually(lambda: all(host.in_service for host in site.status().values()), seconds=60)
    assert probed[0].failed == 0, probed[0]
    assert "its deployer has vanished" in (site.directory / "lb" / "watch.log").read_text()
    said = site.fab("status:local").out
    assert "; back in service by itself: web1 -> " in said, said
    assert "resume:local goes on" in said
    site.fab("abort:local")
    assert site.versions() == {base.version}


def test_a_server_that_a_person_took_out_stays_out(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    site.fab("drain:local", "--limit", "web2")
    hold = next(h for h in json.loads(site.fab("status:local", "--json").out)["hosts"] if h["name"] == "web2")["server"]
    assert (hold["admin"], hold["hold"]["why"]) == ("maint", "person")
    root = site.root("lb")
    watched = subprocess.run(
        [sys.executable, root / "releasectl", "--root", root, "--name", "kiosk", "watch"], timeout=60, check=False
    )
    assert watched.returncode == 0  # nothing to do
    assert not site.status()["web2"].in_service
    site.fab("restore:local")
    assert site.status()["web2"].in_service


def test_a_second_deployer_is_told_who_is_at_work(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    with site.edited("keep = 5", "keep = 5\nlease = 600"):
        first = site.start("deploy:local", "--version", newer.version, "--json")
        assert first.stdout
        json.loads(first.stdout.readline())  # the plan: it holds the lease
    with stopped(first):
        second = site.deploy(base, expect=None)
    first.communicate()
    assert second.code == 3
    assert f"is deploying (process {first.pid}" in second.err
    assert first.returncode == 0
    assert site.versions() == {newer.version}


@pytest.mark.parametrize(("at", "number", "code"), [("trial", signal.SIGINT, 20), ("restore", signal.SIGTERM, 21)])
def test_a_polite_interruption_stops_at_a_safe_point_and_goes_back(
    site: Site, base: ReleaseTree, at: str, number: signal.Signals, code: int
) -> None:
    site.ensure(base)
    running = site.status()["web1"].current
    with (
        site.traffic() as probed,
        site.edited('LOG_LEVEL = "INFO"', f'LOG_LEVEL = "INFO"\nAT = "{at}"'),
    ):
        process = site.start("deploy:local", "--version", base.version, "--json")
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "begin" and event["step"]["kind"] == at:
                process.send_signal(number)
                break
        out, _ = process.communicate()
    assert process.returncode == code
    outcome = json.loads(out.splitlines()[-1])
    assert "stopped at your request" in outcome["message"]
    assert f"web1 serves generation {running}" in outcome["message"]
    assert outcome["hint"] == "fab deploy:local begins again"
    assert probed[0].failed == 0
    for host in site.status().values():
        assert host.current == running
        assert host.in_service


def test_asked_twice_it_stops_at_once_and_says_what_is_left(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    with site.traffic() as probed:
        process = site.start("deploy:local", "--version", newer.version, "--json")
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "begin" and event["step"]["kind"] == "switch":
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)
                break
        _, err = process.communicate()
        assert process.returncode == 30, err
        assert re.search(r"stopped at once, at work: .+; hosts differ", err), err
        assert "fab resume:local goes on, fab abort:local goes back" in err
        site.fab("abort:local")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {base.version}


def test_a_terminal_that_is_closed_is_a_polite_interruption(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    """The kernel sends SIGHUP, and nothing can be written any more: all the same it goes back, and says so."""
    site.ensure(base)
    terminal, its_side = os.openpty()
    with site.traffic() as probed:
        process = subprocess.Popen(
            [FAB, "deploy:local", "--version", newer.version],
            cwd=site.path,
            stdin=its_side,
            stdout=its_side,
            stderr=its_side,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(its_side)
        seen = b""
        while b"switch   web1" not in seen:
            seen += os.read(terminal, 4096)
        os.close(terminal)
        process.wait()
    assert process.returncode == 21, seen
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {base.version}
    last = json.loads(site.fab("history:local", "--json").out)["rollouts"][0]
    assert last["exit"] == 21
    assert "stopped at your request; rolled back" in last["message"]


def test_everything_killed_comes_back_with_bootstrap(site: Site, base: ReleaseTree) -> None:
    """As after a reboot: no process is left, and what ran runs again."""
    site.ensure(base)
    for pid in processes_in(site.directory):
        os.kill(pid, signal.SIGKILL)
    down = site.fab("status:local")
    assert "not running" in down.out
    assert "bootstrap:local starts it" in down.out
    failed = site.deploy(base, expect=2)
    assert "bootstrap:local" in failed.err
    site.fab("bootstrap:local")
    kit.eventually(lambda: all(host.in_service for host in site.status().values()), seconds=60)
    assert "all in service" in site.fab("status:local").out
    site.deploy(base, expect=10)


def test_destroy_leaves_no_process_and_no_file(site: Site) -> None:
    assert len(processes_in(site.directory)) > 5  # HAProxy, and of each host a keeper, a master and its workers
    site.fab("destroy:local")
    assert not site.directory.exists()
    assert processes_in(site.directory) == []
    assert "nothing to do" in site.fab("destroy:local").out
