"""Hosts of an environment: what is said when several can't be worked with, and how sessions with servers begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.agents import UNREACHABLE, AgentError, AgentGone
from deploy.errors import Exit, SlipwayError
from deploy.hosts import Hosts, HostsGone, NotBootstrapped
from deploy.ssh_failures import NO_AGENT
from tests.support.environments import written


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    """Describe servers that nobody ever connects to."""
    return Hosts(written(tmp_path), "sample")


def gone(host: str, code: str = UNREACHABLE) -> AgentGone:
    """Make the error of one host."""
    return AgentGone(f"{host}: is away", hint=f"look after {host}", code=code)


def test_web_hosts_and_load_balancers_have_sessions_and_the_lease_is_on_both(hosts: Hosts) -> None:
    assert (list(hosts.agents), list(hosts.balancers)) == (["web1", "web2"], ["lb1"])
    assert list(hosts.leased) == ["lb1", "web1", "web2"]
    assert hosts.command("web1")[-1] == "sudo -n /usr/lib/sample/releasectl --name sample session"


def test_troubles_of_several_hosts_come_together_each_with_what_to_type(hosts: Hosts) -> None:
    error = hosts.together({"web1": gone("web1"), "web2": gone("web2", "sudo")})
    assert isinstance(error, HostsGone)
    assert error.exit_code == Exit.FAILED_UNCHANGED
    assert error.problems == ("web1: is away -> look after web1", "web2: is away -> look after web2")


def test_one_trouble_is_said_as_it_is(hosts: Hosts) -> None:
    error = gone("web2")
    assert hosts.together({"web2": error}) is error


def test_no_agent_anywhere_means_that_nobody_set_it_up(hosts: Hosts) -> None:
    error = hosts.together({name: gone(name, NO_AGENT) for name in ("web1", "web2")})
    assert isinstance(error, NotBootstrapped)
    assert error.hint == "fab bootstrap:prod"
    mixed = hosts.together({"web1": gone("web1", NO_AGENT), "web2": gone("web2")})
    assert isinstance(mixed, HostsGone)


def test_what_an_agent_itself_refuses_comes_first(hosts: Hosts) -> None:
    refusal = AgentError("web1", "prepare", {"code": "fenced", "message": "overtaken"})
    assert hosts.together({"web1": refusal, "web2": gone("web2")}) is refusal


def test_a_failure_on_one_host_lets_the_others_finish(hosts: Hosts) -> None:
    def one(name: str, agent: object) -> str:
        if name == "web1":
            raise SlipwayError("no")
        return name

    found, errors = hosts.attempt(one, hosts.agents)
    assert (found, list(errors)) == ({"web2": "web2"}, ["web1"])
    with pytest.raises(SlipwayError, match="no"):
        hosts.each(one)
    assert hosts.attempt(one, {}) == ({}, {})
