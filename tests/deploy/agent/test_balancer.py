"""The verb `balancer`: what may be said to HAProxy's runtime socket, what outlives a reload, and who is overtaken."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socketserver
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy.agent.balancer import changes
from deploy.agent.errors import BadRequest
from deploy.agent.layout import Layout
from tests.deploy.agent.kit import AgentFailure, call, eventually

LOOKS = [
    "show info", "show stat", "show stat -1 4 -1", "show stat 3 4 7", "show servers state", "show servers state shop",
    "probe shop/web1 /readyz localhost", "probe shop/web-1.x /readyz?a=b%20c [::1]:8000",
]  # fmt: skip
CHANGES = [
    "set server shop/web1 state drain", "set server shop/web-1.x state maint", "set server shop/web1 state ready",
    "set server shop/web1 addr 10.0.0.21 port 8000", "set server shop/web1 addr fd00::21 port 8000",
    "set server shop.api/web1 addr 10.0.0.21 port 8000",
]  # fmt: skip
FORBIDDEN = [
    "", "help", "show env", "show sess", "show info\nshutdown sessions server shop/web1",
    "show info; disable frontend x",
    "show servers state other", "set server other/web1 state ready", "set server shop/web1 weight 0",
    "set server shop/web1 state ready;expert-mode on", "set server shop/web1 state ready\n", "disable server shop/web1",
    "set server shop/web1/x state ready", "set server shop/ state ready", "set server shop/web1 addr host port 80",
    "set server shop/web1 addr 10.0.0.21 port 8000 check", "SHOW INFO", "show  info", " show info", "<<\nshow info",
    "probe other/web1 / localhost", "probe shop/web1 readyz localhost", "probe shop/web1 / a\r\nX: b",
    "probe shop/web1 /",
    "set server shop.api/web1 state ready", "set server shop./web1 addr 10.0.0.21 port 8000",
    "set server shop-admin/web1 addr 10.0.0.21 port 8000", "set server shop.a.b/web1 addr 10.0.0.21 port 8000",
    "set server shopX/web1 state ready", "set server shop/w\u00e9b state ready", "set server shop/web1 state stopped",
]  # fmt: skip


@pytest.mark.parametrize("command", LOOKS)
def test_looks_are_allowed(command: str) -> None:
    assert changes(command, "shop") is False


@pytest.mark.parametrize("command", CHANGES)
def test_changes_of_the_own_backend_are_allowed(command: str) -> None:
    assert changes(command, "shop") is True


@pytest.mark.parametrize("command", FORBIDDEN)
def test_nothing_else_is(command: str) -> None:
    with pytest.raises(BadRequest, match="runtime socket"):
        changes(command, "shop")


SWITCH = "/var/lib/haproxy/maintenance"


def test_the_switch_that_closes_the_site_is_the_one_that_the_configuration_names() -> None:
    assert changes(f"show acl {SWITCH}", "shop", SWITCH) is False
    assert changes(f"add acl {SWITCH} on", "shop", SWITCH) is True
    assert changes(f"clear acl {SWITCH}", "shop", SWITCH) is True
    for command in (f"add acl {SWITCH} off", f"clear acl {SWITCH}x", "show acl #1", f"del acl {SWITCH} on"):
        with pytest.raises(BadRequest):
            changes(command, "shop", SWITCH)
    with pytest.raises(BadRequest):
        changes("clear acl None", "shop", None)


def test_a_name_is_no_pattern() -> None:
    with pytest.raises(BadRequest):
        changes("set server shopXa/web1 state ready", "shop.a")


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
    http-request return status 503 if { str(on) -m str -f maintenance }
    default_backend shop
backend shop
    server web1 127.0.0.1:9 disabled
    server web2 127.0.0.1:9
"""
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Layout]:
    """Start a load balancer: HAProxy with a backend of the project's name."""
    assert HAPROXY, "haproxy is not installed"
    layout = Layout.under(tmp_path, "shop")
    layout.run.mkdir()
    layout.balancer_config.write_text(CONFIG)
    (tmp_path / "server-state").write_text("1\n")
    (tmp_path / "maintenance").touch()
    with subprocess.Popen([HAPROXY, "-db", "-q", "-f", "haproxy.cfg"], cwd=tmp_path) as process:
        try:
            eventually(layout.balancer.exists)
            yield layout
        finally:
            process.send_signal(signal.SIGTERM)


def state(text: str, server: str) -> int:
    """Read srv_admin_state of a server: 0 is ready, 1 is forced maintenance, 8 is forced drain."""
    found = re.search(rf" shop \d+ {server} \S+ \d+ (\d+) ", f" {text}")
    assert found, text
    return int(found[1])


def ask(layout: Layout) -> str:
    """Look at the servers."""
    (answer,) = call(layout, "balancer", commands=["show servers state shop"])["answers"]
    return str(answer)


def test_one_request_carries_many_commands(host: Layout) -> None:
    info, stat = call(host, "balancer", commands=["show info", "show stat -1 4 -1"])["answers"]
    assert info.startswith("Name: HAProxy")
    assert "web2" in stat
    assert not host.store.exists(), "a load balancer needs no directories for releases"


class Refuses(BaseHTTPRequestHandler):
    """Answers 200 to one path with one Host, else 503."""

    def do_GET(self) -> None:
        right = (self.path, self.headers["Host"]) == ("/readyz", "places.example.org")
        self.send_response(200 if right else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_a_probe_asks_a_server_where_requests_are_sent(host: Layout) -> None:
    def probe(words: str) -> str:
        return str(call(host, "balancer", commands=[f"probe shop/{words}"])["answers"][0])

    with HTTPServer(("127.0.0.1", 0), Refuses) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.02)
        call(host, "balancer", commands=[f"set server shop/web2 addr 127.0.0.1 port {server.server_port}"])
        assert probe("web2 /readyz places.example.org") == "200"
        assert probe("web2 /readyz localhost") == "503"
        assert probe("web1 /readyz places.example.org").startswith("no answer: ")
        assert probe("web9 /readyz places.example.org") == "there is no server web9"
        server.shutdown()


def test_one_forbidden_command_forbids_all(host: Layout) -> None:
    with pytest.raises(AgentFailure) as caught:
        call(host, "balancer", commands=["set server shop/web2 state drain", "show env"])
    assert caught.value.code == "forbidden-command"
    assert state(ask(host), "web2") == 0


def test_what_is_saved_is_what_a_reload_reads(host: Layout, tmp_path: Path) -> None:
    """The place is the one that HAProxy's own configuration names."""
    call(host, "balancer", commands=["set server shop/web2 state maint"], save=True)
    assert state((tmp_path / "server-state").read_text(), "web2") & 1
    host.balancer_config.write_text(CONFIG.replace("server-state-file", "# server-state-file"))
    with pytest.raises(AgentFailure) as caught:
        call(host, "balancer", commands=["show info"], save=True)
    assert caught.value.code == "no-state-file"


def test_a_closed_site_stays_closed_over_a_reload(host: Layout, tmp_path: Path) -> None:
    call(host, "balancer", commands=["add acl maintenance on"], save=True)
    assert (tmp_path / "maintenance").read_text() == "on\n"
    (listed,) = call(host, "balancer", commands=["show acl maintenance"])["answers"]
    assert listed.split()[-1] == "on"
    call(host, "balancer", commands=["clear acl maintenance"], save=True)
    assert (tmp_path / "maintenance").read_text() == ""


def test_an_overtaken_deployer_changes_nothing(host: Layout) -> None:
    for who in ("ada", "bob"):
        call(host, "lease", action="acquire", owner={"who": who}, ttl=0)
    with pytest.raises(AgentFailure) as caught:
        call(host, "balancer", commands=["set server shop/web2 state drain"], token=1)
    assert caught.value.code == "fenced"
    assert state(ask(host), "web2") == 0
    call(host, "balancer", commands=["set server shop/web2 state drain"], token=2)
    assert state(ask(host), "web2") == 8
    call(host, "balancer", commands=["show info"], token=1)  # looking is for everybody


def test_no_haproxy_is_an_error_that_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(AgentFailure) as caught:
        call(Layout.under(tmp_path, "shop"), "balancer", commands=["show info"])
    assert caught.value.code == "no-balancer"
    assert os.fspath(tmp_path) in str(caught.value.error["message"])


@contextlib.contextmanager
def saying(layout: Layout, answer: bytes) -> Iterator[None]:
    """Listen in the place of HAProxy, and say the same to everybody."""

    class Says(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            with contextlib.suppress(OSError):
                self.request.sendall(answer)

    layout.balancer.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.UnixStreamServer(str(layout.balancer), Says) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever, 0.02)
        yield
        server.shutdown()


ODD = [
    b"",
    b"Permission denied\n",
    b"1\n",
    b"\xff\xfe",
    b"1\n# be_id srv_name\n",
    b"# srv_name\nweb1 extra\n",
    b"\0" * 9,
]


@pytest.mark.parametrize("answer", ODD)
def test_what_no_haproxy_would_say_is_neither_saved_nor_a_traceback(tmp_path: Path, answer: bytes) -> None:
    layout = Layout.under(tmp_path, "shop")
    with saying(layout, answer):
        (tmp_path / "haproxy.cfg").write_text("global\n    server-state-file states\n")
        (tmp_path / "states").write_text("1\n# as they were\n")
        with pytest.raises(AgentFailure) as caught:
            call(layout, "balancer", commands=["show info"], save=True)
        assert caught.value.code == "no-balancer"
        assert (tmp_path / "states").read_text() == "1\n# as they were\n"
        said = call(layout, "balancer", commands=["probe shop/web1 / x"])["answers"][0]
        assert said.startswith(("there is no server", "HAProxy gives server"))


def test_an_answer_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.agent.balancer.LONGEST", 1 << 20)
    layout = Layout.under(tmp_path, "shop")
    with saying(layout, b"x" * (1 << 21)), pytest.raises(AgentFailure, match="more than 1048576 bytes"):
        call(layout, "balancer", commands=["show info"])
