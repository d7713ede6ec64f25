"""The runtime socket of a real HAProxy with the repository's own configuration, before two small servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.bake import since
from deploy.balancer import Balancer, BalancerError, seen_together, together, unix_sender
from deploy.environment import Environment
from deploy.environment_model import BalancerEntry, EnvironmentFile, HostEntry
from deploy.facts import Hold, Server
from deploy.haproxy import SWITCH, HaproxyError, ensure, render
from tests.support.contracts import minimal
from tests.support.ports import free_ports


class Answer(BaseHTTPRequestHandler):
    """Answers `/readyz` with the server's `ready`, `/slow` after half a second, `/bad` 500, `/silent` not at all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/slow":
            time.sleep(0.5)
        if self.path == "/silent":
            self.close_connection = True
            return
        body = self.server.name.encode()  # type: ignore[attr-defined]
        status = {"/readyz": self.server.ready, "/bad": 500}.get(self.path, 200)  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Answer until the balancer's health check hangs up, which it does without ceremony."""
        with suppress(ConnectionResetError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, ThreadingHTTPServer]]:
    """Start two servers."""
    started = {}
    for name in ("web1", "web2"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.name, server.ready = name, 200  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started[name] = server
    yield started
    for server in started.values():
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def environment(servers: dict[str, ThreadingHTTPServer], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Describe an environment of the two servers, in a directory deeper than a socket's path may be long."""
    (port,) = free_ports(1)
    file = EnvironmentFile(
        transport="local",
        directory=Path("unused"),
        hosts={n: HostEntry(roles=frozenset({"web"}), listen=f"127.0.0.1:{s.server_port}") for n, s in servers.items()},
        balancer=BalancerEntry(listen=f"127.0.0.1:{port}"),
    )
    return Environment("test", tmp_path_factory.mktemp("d" * 120), file)


@pytest.fixture(scope="module")
def balancer(environment: Environment) -> Iterator[Balancer]:
    """Start HAProxy with the rendered configuration."""
    directory = environment.directory / "lb"
    (directory / "run").mkdir(parents=True)
    found = Balancer(minimal().name, unix_sender(directory / "run" / "admin.sock"), switch=SWITCH)
    assert ensure(directory, render(environment, minimal()), found) == "started"
    assert found.wait_until("web1", lambda s: s.up, 5)
    assert found.wait_until("web2", lambda s: s.up, 5)
    yield found
    os.kill(found.pid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _all_ready(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "balancer" in request.fixturenames:
        found: Balancer = request.getfixturevalue("balancer")
        for name in ("web1", "web2"):
            found.set_state(name, "ready")


def get(environment: Environment, path: str = "/") -> str:
    """Ask through the balancer who answers."""
    with urllib.request.urlopen(environment.url + path, timeout=5) as answer:
        return str(answer.read().decode())


def test_the_configuration_passes_haproxys_own_check_without_a_warning(
    balancer: Balancer, environment: Environment
) -> None:
    done = subprocess.run(
        ["haproxy", "-c", "-f", "haproxy.cfg"],
        cwd=environment.directory / "lb",
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin"},
    )
    assert done.returncode == 0
    assert "WARNING" not in done.stderr


def test_a_drained_server_gets_no_new_request_and_finishes_the_one_it_has(
    balancer: Balancer, environment: Environment
) -> None:
    balancer.set_state("web2", "drain")
    slow: list[str] = []
    client = threading.Thread(target=lambda: slow.append(get(environment, "/slow")))
    client.start()
    assert balancer.wait_until("web1", lambda s: s.sessions == 1, 2)
    balancer.set_state("web2", "ready")
    balancer.set_state("web1", "drain")
    assert balancer.server("web1").admin == "drain"
    assert {get(environment) for _ in range(10)} == {"web2"}
    assert balancer.server("web1").sessions == 1
    assert balancer.wait_until("web1", lambda s: s.sessions == 0, 2)
    client.join()
    assert slow == ["web1"]
    assert balancer.server("web1").up, (
        "a drained server is still checked, so that `ready` is a fact before it is restored"
    )


def test_a_restored_server_gets_requests_again(balancer: Balancer, environment: Environment) -> None:
    balancer.set_state("web1", "drain")
    balancer.set_state("web1", "ready")
    assert balancer.server("web1").admin == "ready"
    assert {get(environment) for _ in range(10)} == {"web1", "web2"}


def test_a_closed_site_answers_with_the_page_and_its_servers_stay_up(
    balancer: Balancer, environment: Environment
) -> None:
    balancer.set_closed(True)
    balancer.set_closed(True)  # twice is once
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        get(environment)
    assert "Closed for maintenance" in caught.value.read().decode()
    caught.value.close()
    assert balancer.is_closed()
    assert all(server.up and server.admin == "ready" for server in balancer.servers().values())
    balancer.set_closed(False)
    assert not balancer.is_closed()
    assert get(environment) in ("web1", "web2")


def test_a_configuration_without_the_page_is_an_error(balancer: Balancer, environment: Environment) -> None:
    other = Balancer(minimal().name, unix_sender(environment.directory / "lb" / "run" / "admin.sock"), switch="none")
    with pytest.raises(BalancerError, match="from before there was a maintenance page"):
        other.set_closed(True)


def test_only_200_counts_as_up(balancer: Balancer, servers: dict[str, ThreadingHTTPServer]) -> None:
    servers["web1"].ready = 204  # type: ignore[attr-defined]
    down = balancer.wait_until("web1", lambda s: not s.up, 5)
    assert down
    assert down.check == "L7STS"
    servers["web1"].ready = 200  # type: ignore[attr-defined]
    assert balancer.wait_until("web1", lambda s: s.up, 5)


def test_what_it_counts_is_about_each_server_and_what_it_did(balancer: Balancer, environment: Environment) -> None:
    """In a window: nobody's counters are set back for it."""
    (before,) = balancer.counters().values()
    balancer.set_state("web2", "maint")
    for _ in range(3):
        get(environment)
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(environment, "/bad")
    with pytest.raises(urllib.error.HTTPError) as unanswered:
        get(environment, "/silent")
    assert (caught.value.code, unanswered.value.code) == (500, 502)
    caught.value.close()
    unanswered.value.close()
    (after,) = balancer.counters().values()
    seen = since(before["web1"], after["web1"])
    assert (seen.requests, seen.failed, seen.retries) == (5, 2, 0)
    assert seen.milliseconds is not None
    assert not since(before["web2"], after["web2"]).requests
    assert not after["web1"].down


def test_a_server_that_is_down_is_told_so_with_what_its_check_found(
    balancer: Balancer, servers: dict[str, ThreadingHTTPServer]
) -> None:
    servers["web1"].ready = 503  # type: ignore[attr-defined]
    try:
        assert balancer.wait_until("web1", lambda s: not s.up, 10)
        assert balancer.counters()[0, balancer.backend]["web1"].down == "L7STS"
    finally:
        servers["web1"].ready = 200  # type: ignore[attr-defined]
    assert balancer.wait_until("web1", lambda s: s.up, 10)
    assert not balancer.counters()[0, balancer.backend]["web1"].down


def test_waiting_ends_at_its_time_out(balancer: Balancer) -> None:
    assert balancer.wait_until("web1", lambda s: False, 0.1) is None


def test_an_unknown_server_is_an_error_that_names_the_known(balancer: Balancer) -> None:
    with pytest.raises(BalancerError, match="has no server web9, only web1, web2"):
        balancer.server("web9")
    with pytest.raises(BalancerError, match="No such server"):
        balancer.set_state("web9", "drain")


def test_no_haproxy_is_an_error_that_names_the_socket(tmp_path: Path) -> None:
    gone = Balancer("x", unix_sender(tmp_path / "admin.sock"))
    assert not gone.answers()
    with pytest.raises(BalancerError, match=r"no answer on .*admin\.sock: No such file"):
        gone.servers()


ONE = Server("web1", "ready", up=True, proven=True, sessions=2, check="L7OK", address="10.0.0.21:8000")


def test_two_load_balancers_see_a_server_as_one() -> None:
    """In service, or free of users, only where both say so."""
    other = replace(ONE, admin="drain", up=False, sessions=3, check="L4CON", address="10.0.0.22:8000")
    both = together(ONE, other)
    assert (both.admin, both.up, both.proven, both.sessions) == ("drain", False, True, 5)
    assert (both.check, both.address) == ("L7OK, L4CON", "10.0.0.21:8000, 10.0.0.22:8000")
    assert together(ONE, replace(ONE, admin="maint", sessions=0)) == replace(ONE, admin="maint")
    assert together(replace(ONE, admin="maint"), replace(ONE, admin="drain")).admin == "maint"
    assert together(ONE, ONE) == replace(ONE, sessions=4)


def test_several_load_balancers_are_all_set_and_all_asked(balancer: Balancer, environment: Environment) -> None:
    send = unix_sender(environment.directory / "lb" / "run" / "admin.sock")
    said: list[str] = []

    def counted(*commands: str, change: bool = False, hold: Mapping[str, str] | None = None) -> list[str]:
        said.extend(commands if change else ())
        return send(*commands, change=change, hold=hold)

    two = Balancer(minimal().name, counted, counted)
    two.set_state("web1", "drain")
    assert said == ["set server sample/web1 state drain"] * 2
    assert two.server("web1").admin == "drain"
    assert two.answers()


def test_several_load_balancers_are_each_shown_where_they_differ() -> None:
    drained = replace(ONE, admin="drain", hold=Hold("rollout"))
    fenced = replace(ONE, admin="maint", up=False, hold=Hold("fenced"))
    assert ONE.place == "ready, up"
    assert seen_together({"lb1": {"web1": ONE}}, alone=True) == {"web1": ONE}
    assert seen_together({"lb1": {"web1": ONE}, "lb2": {"web1": ONE}})["web1"].place == "ready, up at lb1, lb2"
    differ = seen_together({"lb1": {"web1": drained}, "lb2": {"web1": fenced}})["web1"]
    assert differ.place == "lb1: drain, up; lb2: fenced, down"
    assert differ.fenced
    assert differ.each == (drained, fenced)
    assert seen_together({"lb1": {"web1": ONE}, "lb2": {}}) == {}, "who does not know it has to learn it first"


def test_of_several_load_balancers_those_that_answer_do_as_told_and_the_other_is_named(
    balancer: Balancer, environment: Environment, tmp_path: Path
) -> None:
    here = unix_sender(environment.directory / "lb" / "run" / "admin.sock")
    two = Balancer(minimal().name, unix_sender(tmp_path / "gone.sock"), here, names=["lb1", "lb2"], switch=SWITCH)
    with pytest.raises(BalancerError, match=r"no answer on .*gone"):
        two.set_state("web1", "drain")
    assert balancer.server("web1").admin == "drain"
    seen, problem = two.look()
    assert seen["web1"].place == "drain, up at lb2"
    assert problem
    left, problem = two.answering()
    assert (left.names, left.answers(), bool(problem)) == (("lb2",), True, True)
    left.set_state("web1", "ready")
    assert left.is_all(closed=False)
    with pytest.raises(BalancerError):
        Balancer("x", unix_sender(tmp_path / "gone.sock")).answering()


def reloaded(environment: Environment, **balancer: object) -> Environment:
    """Give the same environment with another `[balancer]`."""
    entry = environment.file.balancer.model_copy(update=balancer)
    return replace(environment, file=environment.file.model_copy(update={"balancer": entry}))


def test_the_same_configuration_again_is_nothing_to_do(balancer: Balancer, environment: Environment) -> None:
    before = balancer.pid()
    assert ensure(environment.directory / "lb", render(environment, minimal()), balancer) == ""
    assert balancer.pid() == before


def test_a_reload_keeps_drained_servers_drained_and_the_listening_socket_open(
    balancer: Balancer, environment: Environment
) -> None:
    balancer.set_state("web1", "drain")
    old = balancer.pid()
    changed = render(reloaded(environment, max_request=61), minimal())
    assert ensure(environment.directory / "lb", changed, balancer) == "reloaded"
    assert balancer.wait_until("web2", lambda s: s.up, 5)
    assert balancer.pid() != old
    assert balancer.server("web1").admin == "drain"
    assert {get(environment) for _ in range(6)} == {"web2"}


def test_a_reload_that_fails_leaves_all_as_it_was_and_is_tried_again(
    balancer: Balancer, environment: Environment
) -> None:
    directory, old = environment.directory / "lb", balancer.pid()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = render(reloaded(environment, listen=f"127.0.0.1:{other.getsockname()[1]}"), minimal())
        for _ in range(2):
            with pytest.raises(HaproxyError, match="refuses"):
                ensure(directory, taken, balancer)
        assert balancer.pid() == old
        assert {get(environment) for _ in range(6)} == {"web1", "web2"}


def test_a_server_keeps_its_address_over_a_reload_until_it_is_told_another(
    balancer: Balancer, environment: Environment, servers: dict[str, ThreadingHTTPServer]
) -> None:
    old = environment.hosts["web1"].listen
    (port,) = free_ports(1)
    moved = environment.hosts["web1"].model_copy(update={"listen": f"127.0.0.1:{port}"})
    file = environment.file.model_copy(update={"hosts": {**environment.hosts, "web1": moved}})
    ensure(environment.directory / "lb", render(replace(environment, file=file), minimal()), balancer)
    assert balancer.server("web1").address == old
    balancer.set_address("web1", moved.listen)
    assert balancer.server("web1").address == moved.listen
    balancer.set_address("web1", old)
    assert balancer.wait_until("web1", lambda s: s.up and s.proven, 5)
