"""What an operator does between rollouts, on servers: nothing that was drained comes back by itself."""

from __future__ import annotations

import json
import re

import pytest

from tests.deploy.agent import kit
from tests.support.remote import FAB, WEB, Remote
from tests.support.terminal import terminal


@pytest.fixture(scope="module")
def site(remote: Remote, real_release: kit.Release) -> Remote:
    """Deploy a release, whatever ran before."""
    if not (remote.path / "dist" / "sample-5.0").exists():
        remote.release("5.0", real_release)
    remote.ensure("5.0")
    return remote


def test_what_is_drained_or_closed_stays_so_over_reload_and_reboot_of_the_load_balancer(site: Remote) -> None:
    """The agent wrote the state where HAProxy looks for it; and nobody notices the reload."""
    lb1 = site["lb1"]
    site.fab("drain:fleet", "--limit", "web2")
    with site.traffic(clients=4, rate=40.0) as probed:
        lb1.run("systemctl reload haproxy")
        assert kit.eventually(lambda: admin(site) == {"web1": "ready", "web2": "maint", "web3": "ready"})
    assert probed[0].failed == 0, probed[0]
    lb1.run("systemctl restart haproxy")
    assert admin(site)["web2"] == "maint"
    site.fab("maintenance:fleet", "on")
    lb1.reboot()
    assert kit.eventually(lambda: admin(site)["web2"] == "maint", 20)
    said = site.fab("status:fleet").out
    assert "taken out of service: web2" in said
    assert "users get the maintenance page" in said
    site.fab("maintenance:fleet", "off")
    site.fab("restore:fleet", "--limit", "web2")
    assert all(host.in_service for host in site.status().values())


def admin(site: Remote) -> dict[str, str]:
    """Say in which state the load balancer has each server."""
    return {name: host.server.admin for name, host in site.status().items() if host.server}


def test_the_lock_is_on_servers_and_load_balancers_and_the_doctor_sees_it(site: Remote) -> None:
    assert "fleet is ready for a rollout" in site.fab("doctor:fleet").out
    site.fab("lock:fleet", "--why", "an audit")
    try:
        assert "has locked it: an audit" in site.fab("restart:fleet", expect=3).err
        said = site.fab("doctor:fleet", expect=20).out
        assert re.search(r"lease +PROBLEM  held by .*an audit", said)
    finally:
        freed = json.loads(site.fab("unlock:fleet", "--json").out)
    assert freed["unlocked"] == ["lb1", *WEB]


def test_a_restart_loses_no_request_and_is_known_to_every_server(site: Remote) -> None:
    before = {name: {p.pid for p in host.processes} for name, host in site.status().items()}
    with site.traffic() as probed:
        site.fab("restart:fleet", "--limit", "web1")
    after = {name: {p.pid for p in host.processes} for name, host in site.status().items()}
    assert {name for name in WEB if before[name].isdisjoint(after[name])} == {"web1"}
    assert probed[0].failed == 0, probed[0]
    (last,) = json.loads(site.fab("history:fleet", "--lines", "1", "--json").out)["rollouts"]
    assert (last["task"], last["version"], last["outcome"], last["hosts"]) == ("restart", "5.0", "ok", list(WEB))
    with site.impatient():
        site["web3"].cable.cut()
        try:
            past = site.fab("history:fleet", "--lines", "1").out
        finally:
            site["web3"].cable.mend()
    assert "restart" in past
    assert "web3: " in past, "who can't be asked is named"


def test_a_server_that_is_not_as_it_should_be_is_told_what_to_type(site: Remote) -> None:
    web1 = site["web1"]
    web1.run("mv /usr/lib/systemd/system/sample.socket /root/")
    try:
        said = site.fab("doctor:fleet", expect=20).out
    finally:
        web1.run("mv /root/sample.socket /usr/lib/systemd/system/")
    assert re.search(r"web1 +PROBLEM  not installed: sample.socket -> .*fab highstate:fleet", said)
    assert re.search(r"(?m)^web2 +agent 0\.1\.0\+\w+, Python 3\.\d+, .* free, clock [+-]0\.\d s, serves", said)
    assert re.search(r"(?m)^lb1 +agent 0\.1\.0\+", said)


def test_a_shell_is_a_prompt_in_the_sandbox_of_the_service(site: Remote) -> None:
    with terminal([FAB, "shell:fleet", "--host", "web2"], site.path) as shell:
        shell.until(">>> ")
        shell.type("import os, getpass; print('runs', os.environ['RELEASE_VERSION'], getpass.getuser(), os.getcwd())\n")
        assert "runs 5.0 sample /var/lib/sample/state" in shell.until("\n>>> ")
        shell.type("open('/opt/sample/x', 'w')\n")
        shell.until("Read-only file system")
        shell.type("raise SystemExit(7)\n")
        assert shell.end() == 7


def test_looking_and_running_work_as_they_do_locally(site: Remote) -> None:
    """--limit reaches for that host alone."""
    site.hang_up()
    site["web3"].cable.cut()  # nobody should ask it
    try:
        site.fab("run:fleet", "--host", "web2", "its arguments")
        logged = site.fab("logs:fleet", "--limit", "web1", "--lines", "2").out
        journal = site.fab("logs:fleet", "--limit", "web1", "--since", "1h", "--json").out
        nothing = site.fab("logs:fleet", "--limit", "web1", "--since", "1h", "--request-id", "nobody's").out
    finally:
        site["web3"].cable.mend()
    assert [line.split()[0] for line in logged.splitlines()] == ["web1", "web1"]
    told = [json.loads(line) for line in journal.splitlines()]
    assert "Booting worker" in str(told)
    assert {line["host"] for line in told} == {"web1"}
    assert not nothing
    verified = site.fab("verify:fleet").out
    assert all(f"{name}  5.0" in verified for name in WEB)
    assert "runs" in next(row for row in site.fab("releases:fleet").out.splitlines() if " 5.0 " in row)
