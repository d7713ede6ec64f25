"""Servers that can't be worked with: each is named, with what is wrong and what to type; nothing was touched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy import ssh
from deploy.artifacts import agent as builder
from tests.deploy.agent import kit
from tests.support.remote import NAME, WEB, Remote

AGENT = f"/usr/lib/{NAME}/releasectl"


@pytest.fixture
def site(remote: Remote, real_release: kit.Release) -> Iterator[Remote]:
    """Give servers with no connection open, and a release to plan; what they run is no matter here."""
    if not (remote.path / "dist" / f"{NAME}-7.0").exists():
        remote.release("7.0", real_release)
    remote.hang_up()
    yield remote
    remote.hang_up()


@contextmanager
def known(site: Remote, change: object) -> Iterator[None]:
    """Change the file of known hosts for a while."""
    path = site.environment.file.ssh.known_hosts
    assert path
    assert callable(change)
    before = path.read_text()
    path.write_text(change(before))
    try:
        yield
    finally:
        path.write_text(before)


@contextmanager
def cut(site: Remote, name: str) -> Iterator[None]:
    """Take a machine's cable away for a while."""
    site[name].cable.cut()
    try:
        yield
    finally:
        site[name].cable.mend()


def refused(site: Remote, task: str = "plan:fleet", code: int = 20) -> str:
    """Try, and give what was said instead."""
    return site.fab(task, *(["--version", "7.0"] if task.startswith(("plan", "deploy")) else []), expect=code).err


def test_host_keys_that_are_unknown_or_changed_are_all_named(site: Remote) -> None:
    """Nothing is sent to such a host, and nobody is asked to say yes."""
    one, two, three = (site[name] for name in WEB)

    def change(text: str) -> str:
        unknown = re.sub(rf"(?m)^{re.escape(one.address)},.*\n", "", text)
        return unknown.replace(two.host_key, three.host_key)

    with known(site, change):
        said = refused(site, "deploy:fleet")
    assert f"web1: the host key of {one.address} is not known here" in said
    assert f"ssh-keyscan -t ed25519 {one.address} >>" in said
    assert f"web2: THE HOST KEY OF {two.address} HAS CHANGED" in said
    assert f"ssh-keygen -R {two.address}" in said
    assert "web3" not in said


def test_a_host_that_is_cut_off_is_named_before_anything_is_touched(site: Remote) -> None:
    with site.impatient(), cut(site, "web2"):
        said = refused(site, "deploy:fleet")
        assert re.search(rf"web2: can't be reached at {site['web2'].address}: (connection timed|no route)", said)
        rows = site.fab("status:fleet").out
    assert "unknown" in next(row for row in rows.splitlines() if row.startswith("web2 "))


def test_an_open_connection_that_is_cut_is_given_up(site: Remote) -> None:
    """No packet comes back, not even a refusal: the signs of life that ssh asks for end it, then it is tried anew."""
    with site.impatient():
        site.fab("status:fleet")  # leaves connections open for the next command
        with cut(site, "web3"):
            said = refused(site)
    assert f"web3: can't be reached at {site['web3'].address}: " in said


def test_a_server_without_an_agent_or_with_another_is_sent_to_whom_can_mend_it(site: Remote, tmp_path: Path) -> None:
    web1, web2 = site["web1"], site["web2"]
    shutil.copytree(builder.SOURCE, tmp_path / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "agent" / "errors.py"
    source.write_text(source.read_text() + "\n# another build\n")
    builder.write(tmp_path / "releasectl", tmp_path / "agent")
    try:
        web2.push(tmp_path / "releasectl", AGENT, 0o755)
        said = refused(site, code=2)
        assert "web2: releasectl is another version" in said
        assert "fab highstate:fleet" in said
        web1.run(f"mv {AGENT} {AGENT}.away")
        assert "web1: there is no agent" in refused(site)
        for machine in (web2, site["web3"]):
            machine.run(f"rm {AGENT}")
        everywhere = refused(site, code=2)
        assert "not set up (no agent on web1, web2, web3)" in everywhere
        assert "fab bootstrap:fleet" in everywhere
    finally:
        builder.write(tmp_path / "right")
        for name in WEB:
            site[name].push(tmp_path / "right", AGENT, 0o755)


def test_who_may_not_log_in_or_call_the_agent_is_told_so(site: Remote) -> None:
    user = site.environment.file.ssh.user
    with site.edited("[ssh]", '[ssh]\nuser = "nobody"'):
        said = refused(site)
    assert re.search(r"web1: nobody@\S+ lets nobody in with the key \S+; it takes: publickey", said)
    site["web1"].run(f"mv /etc/sudoers.d/{NAME} /root/")
    try:
        said = refused(site)
    finally:
        site["web1"].run(f"mv /root/{NAME} /etc/sudoers.d/")
    assert f"web1: sudo does not let {user} call the agent: sudo: a password is required" in said
    assert f"{user} ALL=(root) NOPASSWD: {AGENT} --name {NAME} session" in said


FORBIDDEN = [
    "id", "sh", f"{AGENT} --name {NAME} status", f"{AGENT} --name other session", f"{AGENT} --root / session",
    f"{AGENT} --name {NAME} session more", f"{AGENT}x --name {NAME} session", "systemctl restart ssh", "-u deploy id",
    f"-E {AGENT} --name {NAME} session", f"PYTHONPATH=/tmp {AGENT} --name {NAME} session",
]  # fmt: skip


def test_the_user_may_call_the_agent_and_nothing_else(site: Remote) -> None:
    """Sudo compares every word."""
    line = " ; ".join(f"sudo -n {words} </dev/null >/dev/null 2>&1; echo $?" for words in FORBIDDEN)
    command = ssh.command(site.environment, "web1", ["true"])
    done = subprocess.run([*command[:-1], line], capture_output=True, text=True, check=True)
    codes = dict(zip(FORBIDDEN, done.stdout.split(), strict=True))
    assert set(codes.values()) == {"1"}, codes
    words, request = ssh.agent(site.environment, "web1", NAME), '{"verb": "status"}\n'
    allowed = subprocess.run(words, input=request, capture_output=True, text=True, check=True)
    assert json.loads(allowed.stdout)["ok"]


def test_a_load_balancer_without_haproxy_is_named(site: Remote) -> None:
    site["lb1"].run("systemctl stop haproxy")
    try:
        said = refused(site, code=2)
        assert "lb1: balancer: HAProxy does not answer on /run/haproxy/admin.sock" in said
        assert "fab highstate:fleet" in said
        assert "web3" in site.fab("status:fleet").out, "the hosts are worth a look all the same"
    finally:
        site["lb1"].run("systemctl start haproxy")


def test_files_that_the_environment_names_are_looked_for_first(site: Remote) -> None:
    identity = str(site.environment.file.ssh.identity)
    with site.edited(identity, "var/no-such-key"):
        assert "ssh.identity: there is no var/no-such-key" in refused(site, code=2)


def test_servers_are_nothing_to_destroy(site: Remote) -> None:
    assert "servers are not ours to remove" in refused(site, "destroy:fleet", code=2)
