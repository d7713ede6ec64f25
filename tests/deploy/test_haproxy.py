"""What the load balancer does as the contract says: clients that keep their server, files that may be kept, headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.balancer import Balancer, unix_sender
from deploy.environment import read
from deploy.haproxy import ensure, render, stop, with_followers
from tests.support.contracts import minimal
from tests.support.ports import free_ports

HOSTS = ("web1", "web2")
WAIT = 30.0  # seconds; an upper bound


class Application(BaseHTTPRequestHandler):
    """Answer who it is, and the headers that came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer; some paths bring headers of their own."""
        said = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"host": self.server.name, "headers": said}).encode()  # type: ignore[attr-defined]
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private" if "mine" in self.path else "no-cache")
        if "session" in self.path:
            self.send_header("Set-Cookie", "session=1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Site:
    """A load balancer before two servers."""

    folder: Path
    port: int
    ports: dict[str, int]
    balancer: Balancer

    def configure(self, contract: str = "", balancer: str = "") -> str:
        """Run with another contract, once both servers are up."""
        hosts = "".join(f'[hosts.{h}]\nroles = ["web"]\nlisten = "127.0.0.1:{self.ports[h]}"\n' for h in HOSTS)
        text = f'transport = "local"\ndirectory = "{self.folder}"\n{hosts}'
        text += f'[balancer]\nlisten = "127.0.0.1:{self.port}"\n{balancer}'
        (self.folder / "site.toml").write_text(text)
        written = render(read("site", self.folder), minimal(contract))
        ensure(self.folder / "lb", written, self.balancer)
        for host in HOSTS:
            self.balancer.set_state(host, "ready")
            assert self.balancer.wait_until(host, lambda server: server.up, WAIT)
        return written

    def get(self, path: str = "/", **headers: str) -> tuple[dict[str, str], dict[str, str], str]:
        """Ask; give the headers of the answer, those that reached the server, and which that was."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return {name.lower(): value for name, value in answer.getheaders()}, body["headers"], body["host"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a load balancer before two servers."""
    folder = tmp_path_factory.mktemp("lb")
    (folder / "lb" / "run").mkdir(parents=True)
    servers = {name: ThreadingHTTPServer(("127.0.0.1", 0), Application) for name in HOSTS}
    for name, server in servers.items():
        server.name = name  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
    balancer = Balancer("sample", unix_sender(folder / "lb/run/admin.sock"))
    ports = {name: server.server_address[1] for name, server in servers.items()}
    yield Site(folder, free_ports(1)[0], ports, balancer)
    stop(balancer)
    for server in servers.values():
        server.shutdown()
        server.server_close()


def test_a_client_keeps_its_server_by_a_cookie_but_for_a_drain(site: Site) -> None:
    site.configure('sticky = "cookie"')
    answer, _, first = site.get()
    assert all(word in answer["set-cookie"] for word in ("HttpOnly", "SameSite=Lax"))
    cookie = answer["set-cookie"].split(";")[0]
    again = [site.get(Cookie=cookie) for _ in range(6)]
    assert {host for _, _, host in again} == {first}
    assert not any("set-cookie" in answer for answer, _, _ in again)
    assert {site.get()[2] for _ in range(60)} == set(HOSTS), "those without a cookie are shared out"
    site.balancer.set_state(first, "drain")
    assert {site.get(Cookie=cookie)[2] for _ in range(6)} == set(HOSTS) - {first}
    site.balancer.set_state(first, "ready")
    assert {site.get(Cookie=cookie)[2] for _ in range(6)} == {first}


def test_a_client_keeps_its_server_by_its_address_but_for_a_drain(site: Site) -> None:
    site.configure('sticky = "source"')
    (first,) = {site.get()[2] for _ in range(6)}
    site.balancer.set_state(first, "drain")
    assert {site.get()[2] for _ in range(6)} == set(HOSTS) - {first}
    site.balancer.set_state(first, "ready")
    assert {site.get()[2] for _ in range(6)} == {first}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/static/site.css", "public, max-age=3600"),
        ("/static/fonts/a.woff", "public, max-age=86400"),
        ("/", "no-cache"),
        ("/static/missing.css", "no-cache"),
        ("/static/mine.css", "private"),
        ("/static/session.css", "no-cache"),
        ("/static/../account", "no-cache"),
        ("/static/%2e%2e/account", "no-cache"),
        ("/static/%2E./account", "no-cache"),
        ("/static//account", "no-cache"),
    ],
)
def test_files_may_be_kept_as_long_as_the_contract_says(site: Site, path: str, kept: str) -> None:
    site.configure('static = { "/static/" = 3600, "/static/fonts/" = 86400 }')
    assert site.get(path)[0]["cache-control"] == kept


def test_only_proxies_that_are_named_are_believed(site: Site) -> None:
    said = {"X_Forwarded_For": "1.2.3.4", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "shop.example"}
    site.configure()
    _, headers, _ = site.get(**said)
    got = [headers[f"x-forwarded-{name}"] for name in ("for", "proto", "host")]
    assert got == ["127.0.0.1", "http", f"127.0.0.1:{site.port}"]
    site.configure('proxy.trusted = ["127.0.0.0/8"]')
    _, headers, _ = site.get(**said)
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == "shop.example"
    site.configure('proxy.trusted = ["10.1.2.3"]')
    assert site.get(**said)[1]["x-forwarded-proto"] == "http"


def test_how_long_an_answer_may_take_is_the_environments_word_then_the_contracts(site: Site) -> None:
    assert "timeout server 60s" in site.configure()
    assert "timeout server 300s" in site.configure("proxy.timeout = 300")
    assert "timeout server 90s" in site.configure("proxy.timeout = 300", balancer="max_request = 90\n")


def test_a_slow_request_waits_at_the_load_balancer(site: Site) -> None:
    assert "option http-buffer-request" in site.configure("proxy.buffer = true")
    assert site.get()[2] in HOSTS
    assert "http-buffer-request" not in site.configure()


API = '[balancer.backends.api]\npaths = ["/api"]\nnames = ["api.example"]\nmax_request = 10\n'


def answered(site: Site) -> dict[str, int]:
    """Count what each backend's servers have answered."""
    looked = site.balancer.counters().values()
    return {
        name: sum(c.answers for c in counted.values()) for name, counted in zip(("all", "api"), looked, strict=True)
    }


def test_another_backend_takes_its_own_requests_and_its_servers_follow(site: Site) -> None:
    written = site.configure(balancer=API)
    assert "timeout server 10s" in written
    before = answered(site)
    for path in ("/api", "/api/places", "/apiary", "/"):
        site.get(path)
    site.get("/", Host="API.example:8080")
    after = answered(site)
    assert {name: after[name] - before[name] for name in after} == {"all": 2, "api": 3}
    for state in ("drain", "maint"):
        site.balancer.set_state("web1", state)
        assert {site.get("/api/x")[2] for _ in range(6)} == {"web2"}
    site.configure(balancer=API.replace("10", "11"))  # reloads, and sets ready
    assert {site.get("/api/x")[2] for _ in range(12)} == set(HOSTS)


def test_a_reload_keeps_a_server_drained_in_every_backend(site: Site) -> None:
    site.configure(balancer=API)
    site.balancer.set_state("web1", "drain")
    text = render(read("site", site.folder), minimal("proxy.timeout = 120"))
    assert ensure(site.folder / "lb", text, site.balancer) == "reloaded"
    assert site.balancer.wait_until("web2", lambda server: server.up, WAIT)
    assert {site.get(path)[2] for path in ("/", "/api") for _ in range(6)} == {"web2"}


def test_a_server_that_moves_does_so_in_every_backend(site: Site) -> None:
    site.configure(balancer=API)
    site.balancer.set_state("web1", "maint")
    old = site.balancer.server("web1").address
    site.balancer.set_address("web1", f"127.0.0.1:{site.ports['web2']}")
    site.balancer.set_state("web1", "ready")
    assert site.balancer.wait_until("web1", lambda server: server.up and server.proven, WAIT)
    assert {site.get(path)[2] for path in ("/", "/api") for _ in range(6)} == {"web2"}
    site.balancer.set_address("web1", old)
    assert site.balancer.wait_until("web1", lambda server: server.up and server.proven, WAIT)
    assert {site.get("/api")[2] for _ in range(6)} == set(HOSTS)


def test_a_new_backend_begins_where_its_servers_are_and_not_where_they_are_to_go(site: Site) -> None:
    site.configure()
    (site.folder / "moved.toml").write_text(
        (site.folder / "site.toml").read_text().replace(str(site.ports["web1"]), str(free_ports(1)[0])) + API
    )
    text = render(read("moved", site.folder), minimal())
    assert ensure(site.folder / "lb", text, site.balancer) == "reloaded"
    assert {site.get("/api")[2] for _ in range(12)} == set(HOSTS)
    assert with_followers("1\n", text) == "1\n", "at a first start all begin where the configuration says"
