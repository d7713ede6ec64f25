"""What users, and those who look at numbers, get from the load balancer."""

from __future__ import annotations

import json
import re

from tests.support.haproxy import Balancer


def test_users_come_by_http_2_and_are_sent_on_from_port_80(balancer: Balancer) -> None:
    said = balancer.curl("/", "--http2", "-o", "/dev/null", "-w", "%{http_code} %{http_version}")
    assert said == "200 2"
    said = balancer.curl("/a?b=c", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", port="http")
    assert said == f"308 https://places.example:{balancer.ports['http']}/a?b=c"


def test_what_a_client_says_of_itself_is_not_passed_on(balancer: Balancer) -> None:
    lies = ("X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example", "X-Request-ID: mine")
    headers = json.loads(balancer.curl("/", *(word for lie in lies for word in ("-H", lie))))
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == f"places.example:{balancer.ports['https']}"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert re.fullmatch("[0-9A-F]{20,}", headers["x-request-id"])
    assert "mine" not in headers["all"]


def test_nobody_there_is_said_in_words_and_when_to_come_again(balancer: Balancer) -> None:
    for name in ("web1", "web2"):
        balancer.send(f"set server sample/{name} state maint")
    said = balancer.curl("/", "-i")
    assert said.startswith("HTTP/2 503")
    assert "retry-after: 10" in said
    assert "We will be right back" in said


def test_the_switch_of_the_maintenance_page(balancer: Balancer) -> None:
    balancer.send("add acl ./maintenance on")
    said = balancer.curl("/", "-i")
    assert said.startswith("HTTP/2 503")
    assert "Closed for maintenance" in said
    balancer.send("del acl ./maintenance on")
    assert balancer.curl("/", "-o", "/dev/null", "-w", "%{http_code}") == "200"
    balancer.stop()
    (balancer.folder / "maintenance").write_text("on\n")
    balancer.start()
    assert "Closed for maintenance" in balancer.curl("/")


def test_numbers_are_for_those_who_know_the_password(balancer: Balancer) -> None:
    ask = ("-o", "/dev/null", "-w", "%{http_code}")
    assert balancer.curl("/", *ask, port="stats") == "401"
    assert balancer.curl("/metrics", *ask, "-u", "stats:guess", port="stats") == "401"
    known = ("-u", "stats:the-value-of-STATS_PASSWORD")
    assert "Statistics Report" in balancer.curl("/", *known, port="stats")
    assert 'haproxy_backend_status{proxy="sample"' in balancer.curl("/metrics", *known, port="stats")
