"""What ssh, sudo and shells say when it does not work, and what is made of it.

The texts are those of OpenSSH 9.2 and sudo 1.9.13.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.agents import UNREACHABLE
from deploy.ssh_failures import NO_AGENT, Link, explain

LINK = Link(
    "fleet", "web2", "10.0.0.22", 22, "deploy", "/usr/lib/shop/releasectl --name shop session", "var/known_hosts",
    "var/id_ed25519", 10, 15,
)  # fmt: skip
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:3eaPP+hgST5Kxr3U4Uif6Kqc6Qo5THcoWUdavslAUjo.
Please contact your system administrator.
Add correct host key in /keys/known_hosts to get rid of this message.
Offending ED25519 key in /keys/known_hosts:1
  remove with:
  ssh-keygen -f "/keys/known_hosts" -R "10.0.0.22"
Host key for 10.0.0.22 has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = """\
No ED25519 host key is known for 10.0.0.22 and you have requested strict checking.
Host key verification failed.
"""
NOISE = "sudo: unable to resolve host web2: Name or service not known"
# exit status and text -> code, words of the message, words of the hint
CASES = {
    "changed key": (255, CHANGED, "host-key-changed", "THE HOST KEY OF 10.0.0.22 HAS CHANGED", "-f /keys/known_hosts"),
    "its fingerprint": (255, CHANGED, "host-key-changed", "SHA256:3eaPP", "ssh-keygen -R 10.0.0.22"),
    "unknown key": (255, UNKNOWN, "host-key-unknown", "not known here (expected in var/known_hosts)", "ssh-keyscan"),
    "denied": (
        255, "deploy@10.0.0.22: Permission denied (publickey,password).", "permission-denied",
        "deploy@10.0.0.22 lets nobody in with the key var/id_ed25519; it takes: publickey, password",
        "fab bootstrap:fleet",
    ),
    "refused": (
        255, "ssh: connect to host 10.0.0.22 port 22: Connection refused", UNREACHABLE, "no sshd listens there",
        "status ssh",
    ),
    "timed out": (
        255, "ssh: connect to host 10.0.0.22 port 22: Connection timed out", UNREACHABLE, "timed out (tried for 10 s)",
        "ssh deploy@10.0.0.22",
    ),
    "frozen before login": (
        255, "Connection timed out during banner exchange\nConnection to 10.0.0.22 port 22 timed out", UNREACHABLE,
        "can't be reached at 10.0.0.22: connection timed out during banner exchange", "switched on",
    ),
    "no route": (
        255, "ssh: connect to host 10.0.0.22 port 22: No route to host", UNREACHABLE, "no route to host", "network",
    ),
    "no name": (
        255, "ssh: Could not resolve hostname web2: Name or service not known", UNREACHABLE, "could not resolve",
        "network",
    ),
    "hung up": (
        255, "kex_exchange_identification: Connection closed by remote host", UNREACHABLE, "hung up", "MaxStartups",
    ),
    "configuration": (
        255, "Can't open user config file /x: No such file or directory", "", "/x: No such file", "[ssh] config",
    ),
    "cut": (255, "", "cut", "nothing came over it for 15 s", "fab status:fleet"),
    "something new": (255, "a text of OpenSSH 12", "", "ssh to 10.0.0.22 failed: a text of OpenSSH 12", "ssh deploy@"),
    "no agent": (
        1, f"{NOISE}\nsudo: /usr/lib/shop/releasectl: command not found", NO_AGENT,
        "no agent (/usr/lib/shop/releasectl)", "bootstrap",
    ),
    "no sudo": (127, "sh: 1: sudo: not found", NO_AGENT, "no agent", "fab bootstrap:fleet"),
    "sudo wants a password": (
        1, "sudo: a password is required", "sudo", "call the agent: sudo: a password is required", "NOPASSWD: /usr/lib",
    ),
    "sudo says no": (
        1, "Sorry, user deploy is not allowed to execute '/bin/sh' as root on web2.", "sudo", "is not allowed",
        "NOPASSWD",
    ),
    "no python": (127, "/usr/bin/env: 'python3': No such file or directory", "no-python", "no python3", "bootstrap"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "said", "code", "message", "hint"), CASES.values(), ids=CASES)
def test_a_failure_says_host_what_is_wrong_and_what_to_type(
    status: int, said: str, code: str, message: str, hint: str
) -> None:
    error = explain(LINK, status, said)
    assert error
    assert error.message.startswith("web2: ")
    assert error.code == code
    assert message in error.message
    assert error.hint
    assert hint in error.hint


def test_another_port_is_in_what_to_type() -> None:
    there = replace(LINK, port=2222)
    unknown, changed = explain(there, 255, UNKNOWN), explain(there, 255, CHANGED)
    assert unknown
    assert unknown.hint
    assert "ssh-keyscan -t ed25519 -p 2222 10.0.0.22" in unknown.hint
    assert changed
    assert changed.hint
    assert "ssh-keygen -R '[10.0.0.22]:2222'" in changed.hint


def test_without_a_key_of_its_own_ssh_chooses() -> None:
    error = explain(replace(LINK, identity=""), 255, "deploy@10.0.0.22: Permission denied (publickey).")
    assert error
    assert "the keys that ssh offers by itself" in error.message


@pytest.mark.parametrize(
    ("status", "said"),
    [(None, ""), (0, ""), (1, "Traceback"), (2, "releasectl: unknown option"), (1, "Permission denied (publickey).")],
)
def test_what_is_no_matter_of_ssh_or_sudo_stays_the_agents(status: int | None, said: str) -> None:
    """The remote's own exit codes are not ssh's: 255 alone is."""
    assert explain(LINK, status, said) is None
