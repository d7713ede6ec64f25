"""Servers whose deployer vanished come back by themselves: beside a real HAProxy that checks a real server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import holds, lease, restoring
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.supervisors import proc
from tests.deploy.agent.kit import AgentFailure, call, eventually

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
CONFIG = """
global
    stats socket unix@run/admin.sock level admin
    server-state-file server-state
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    load-server-state-from-file global
frontend shop
    bind unix@run/front.sock
    default_backend shop
backend shop
    option httpchk GET /readyz
    default-server check inter 100ms fall 2 rise 1
    server web1 127.0.0.1:{port}
    server web2 127.0.0.1:{port}
"""
ROLLOUT = {"why": "rollout", "rollout": "r1", "by": "ann@desk"}
SOMEBODY = {"who": "ann", "host": "elsewhere", "pid": 1, "boot": "another", "start": 1, "rollout": "r1"}


@dataclass
class Balanced:
    """A load balancer's host, and whether the servers behind it are ready."""

    layout: Layout
    ready: threading.Event

    def set(self, server: str, state: str, **more: Any) -> None:
        """Change a server as a deployer does."""
        call(self.layout, "balancer", commands=[f"set server shop/{server} state {state}"], save=True, **more)

    def take(self, owner: dict[str, Any] | None = None, ttl: float = 600) -> int:
        """Take the lease."""
        return int(call(self.layout, "lease", action="acquire", owner=owner or SOMEBODY, ttl=ttl)["lease"]["token"])

    def seen(self, server: str = "web1") -> restoring.Server:
        """Look at a server."""
        return restoring.look(self.layout)[server]


@pytest.fixture
def balanced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Balanced]:
    """Start HAProxy before one server with two names; no watcher starts by itself."""
    assert HAPROXY, "haproxy is not installed"
    ready = threading.Event()
    ready.set()

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if ready.is_set() else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep silent."""

    layout = Layout.under(tmp_path, "shop")
    layout.run.mkdir()
    (tmp_path / "server-state").write_text("1\n")
    monkeypatch.setattr(restoring, "ensure", lambda layout: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        layout.balancer_config.write_text(CONFIG.format(port=server.server_port))
        with subprocess.Popen([HAPROXY, "-db", "-q", "-f", "haproxy.cfg"], cwd=tmp_path) as process:
            try:
                eventually(layout.balancer.exists)
                eventually(lambda: restoring.look(layout)["web1"].fit)
                yield Balanced(layout, ready)
            finally:
                process.send_signal(signal.SIGTERM)
                server.shutdown()


def test_nothing_is_done_while_somebody_holds_the_lease(balanced: Balanced) -> None:
    token = balanced.take()
    balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    watcher = restoring.Watcher(balanced.layout)
    for _ in range(3):
        assert watcher.turn() is False
    assert not balanced.seen().ready
    assert lease.read(balanced.layout).token == token


def test_a_server_comes_back_through_its_own_check(balanced: Balanced) -> None:
    """From maintenance as well: HAProxy checks it first, without users; the ledger says what happened."""
    token = balanced.take()
    balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    balanced.set("web1", "maint", token=token)
    call(balanced.layout, "lease", action="release", token=token)
    balanced.ready.clear()
    eventually(lambda: not balanced.seen("web2").fit)
    watcher = restoring.Watcher(balanced.layout)
    watcher.turn()
    assert not balanced.seen().ready  # never from maintenance at once
    eventually(lambda: "DOWN" in str(call(balanced.layout, "balancer", commands=["show stat -1 4 -1"])))
    eventually(lambda: balanced.seen().check == "L7STS")
    assert watcher.turn() is False
    assert not balanced.seen().ready  # and not before it answers
    balanced.ready.set()
    eventually(lambda: balanced.seen().fit)
    watcher.turn()
    assert balanced.seen().ready
    assert watcher.turn() is True
    assert holds.read(balanced.layout) == {}
    (entry,) = call(balanced.layout, "ledger", tail=10)["entries"]
    assert (entry["kind"], entry["host"], entry["rollout"]) == ("restore", "web1", "r1")
    assert "ann@desk" in entry["detail"]
    assert " shop 1 web1 127.0.0.1 2 0 " in (balanced.layout.base / "server-state").read_text()


def test_who_vanished_can_t_come_back_and_undo_it(balanced: Balanced) -> None:
    token = balanced.take(ttl=0)
    balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    late = lease.read(balanced.layout)
    lease._write(balanced.layout, lease.Lease(late.owner, late.token, late.expires - restoring.GRACE))
    restoring.Watcher(balanced.layout).turn()
    for change in ("drain", "maint", "ready"):
        with pytest.raises(AgentFailure) as caught:
            balanced.set("web1", change, token=token)
        assert caught.value.code == "fenced"
    with pytest.raises(AgentFailure) as caught:
        call(balanced.layout, "lease", action="renew", owner=SOMEBODY, ttl=60, token=token)
    assert caught.value.code == "lease-lost"


def test_a_heartbeat_may_be_a_little_late(balanced: Balanced) -> None:
    token = balanced.take(ttl=0)
    balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    watcher = restoring.Watcher(balanced.layout)
    assert watcher.turn() is False
    assert call(balanced.layout, "lease", action="renew", owner=SOMEBODY, ttl=60, token=token)["held"]


def test_whoever_takes_the_lease_meanwhile_has_the_say(balanced: Balanced) -> None:
    token = balanced.take()
    balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    call(balanced.layout, "lease", action="release", token=token)
    balanced.ready.clear()
    eventually(lambda: not balanced.seen().fit)
    watcher = restoring.Watcher(balanced.layout)
    watcher.turn()
    balanced.take({**SOMEBODY, "who": "bob"})
    balanced.ready.set()
    eventually(lambda: balanced.seen().fit)
    with pytest.raises(AgentError) as caught:
        watcher._bring_back("web1")  # it had looked before bob came
    assert caught.value.code == "fenced"
    assert watcher.turn() is False
    assert not balanced.seen().ready


@pytest.mark.parametrize("why", ["person", "fenced", "left"])
def test_who_was_taken_out_on_purpose_stays_out(balanced: Balanced, why: str) -> None:
    """Also when a rollout drained it once more, and vanished."""
    token = balanced.take()
    balanced.set("web1", "maint", token=token, hold={**ROLLOUT, "why": why})
    if why != "left":
        balanced.set("web1", "drain", token=token, hold=ROLLOUT)
    call(balanced.layout, "lease", action="release", token=token)
    assert restoring.Watcher(balanced.layout).turn() is True
    assert not balanced.seen().ready
    assert holds.read(balanced.layout)["web1"]["why"] == why


def test_a_fence_that_haproxy_forgot_is_put_up_again(balanced: Balanced) -> None:
    balanced.set("web1", "maint", hold={**ROLLOUT, "why": "fenced"})
    from deploy.agent.balancer import send

    send(balanced.layout.balancer, "set server shop/web1 state ready")
    assert restoring.Watcher(balanced.layout).turn() is True
    assert balanced.seen().maint


def test_who_is_ready_already_is_just_forgotten(balanced: Balanced) -> None:
    """A deployer was killed between writing it down and doing it."""
    holds.write(balanced.layout, {"web1": {**ROLLOUT, "since": 1.0}, "gone": {**ROLLOUT, "since": 1.0}})
    watcher = restoring.Watcher(balanced.layout)
    assert watcher.turn() is False
    assert watcher.turn() is True
    assert holds.read(balanced.layout) == {}


def test_the_process_starts_with_the_first_drain_and_ends_when_all_is_done(
    balanced: Balanced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deployer is a process of this machine that is killed."""
    monkeypatch.undo()
    layout = balanced.layout
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as deployer:
        mine = {"boot": proc.boot_id(), "pid": deployer.pid, "start": proc.start_time(deployer.pid)}
        token = balanced.take({**SOMEBODY, **mine})
        for state in ("drain", "maint"):
            balanced.set("web1", state, token=token, hold=ROLLOUT)
        eventually(lambda: restoring._watched(layout))
        restoring.ensure(layout)  # one is enough
        assert not balanced.seen().ready
        deployer.kill()
    eventually(lambda: balanced.seen().ready)
    os.waitpid(int(layout.watch_lock.read_text()), 0)
    assert not restoring._watched(layout)
    assert "back in service by itself" in (layout.var / "watch.log").read_text()


def test_who_gives_the_lease_back_leaves_nobody_held_for_a_deployer_that_was_killed(
    balanced: Balanced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent was killed, and its deployer with it, before it began to watch; whoever comes next changes nothing."""
    monkeypatch.undo()
    layout = balanced.layout
    holds.write(layout, {"web1": {**ROLLOUT, "since": 1.0}})
    call(layout, "lease", action="release", token=balanced.take())
    eventually(lambda: holds.read(layout) == {})
    os.waitpid(int(layout.watch_lock.read_text()), 0)
    holds.write(layout, {"web1": {**ROLLOUT, "why": "person", "since": 1.0}})
    begun: list[Layout] = []
    monkeypatch.setattr(restoring, "ensure", begun.append)
    call(layout, "lease", action="release", token=balanced.take())
    assert begun == []  # nobody watches over what nobody shall put back


def test_the_process_can_be_ended(balanced: Balanced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    balanced.set("web1", "drain", token=balanced.take(), hold=ROLLOUT)
    eventually(lambda: restoring._watched(balanced.layout))
    pid = int(balanced.layout.watch_lock.read_text())
    restoring.stop(balanced.layout)
    os.waitpid(pid, 0)
    assert proc.start_time(pid) is None


@pytest.mark.parametrize("hold", [{"why": "mood"}, {"why": "person", "more": 1}, "person", {}])
def test_a_hold_says_why(tmp_path: Path, hold: Any) -> None:
    with pytest.raises(AgentFailure) as caught:
        call(Layout.under(tmp_path, "shop"), "balancer", commands=["set server shop/web1 state drain"], hold=hold)
    assert caught.value.code == "bad-argument"


def test_a_damaged_file_holds_nobody(tmp_path: Path) -> None:
    layout = Layout.under(tmp_path, "shop")
    for text in ("", "[]", '{"web1": 1}', '{"web1": {"why": "mood"}}'):
        layout.holds.write_text(text)
        assert holds.read(layout) == {}
