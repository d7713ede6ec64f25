"""What it means when a session by SSH ends too early: host, what is wrong, and what to type. Decided from texts alone.

ssh itself ends with 255; sudo and the shell over there speak through it with codes of their own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from deploy.agents import UNREACHABLE, AgentGone

SSH_FAILED = 255
PUBLIC_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
NO_AGENT = "no-agent"  # code of AgentGone: the host was never set up


@dataclass(frozen=True)
class Link:
    """How a host is reached: what a message has to name."""

    environment: str
    host: str
    address: str
    port: int
    user: str
    agent: str  # the words that are called over there
    known_hosts: str  # file
    identity: str  # file, or "" when the choice is ssh's
    connect_timeout: int
    alive: int  # seconds of silence after which a connection is given up

    @property
    def where(self) -> str:
        """Name the end of the link."""
        return self.address if self.port == 22 else f"{self.address}, port {self.port}"

    @property
    def by_hand(self) -> str:
        """Say what a person types to see it."""
        return shlex.join(["ssh", *(["-p", str(self.port)] if self.port != 22 else []), f"{self.user}@{self.address}"])

    def gone(self, text: str, hint: str, code: str = "") -> AgentGone:
        """Make the error."""
        return AgentGone(f"{self.host}: {text}", hint=hint, code=code)


def explain(link: Link, status: int | None, said: str) -> AgentGone | None:
    """Say what the end of a session's process means; None when that is no matter of SSH or sudo."""
    if status is None:
        return None
    found = None
    for pattern, understand in SSH if status == SSH_FAILED else REMOTE:
        match = re.search(pattern, said, re.MULTILINE)
        if match:
            found = understand(link, match, said)
            break
    if found is None and status == SSH_FAILED:
        last = said.strip().splitlines()[-1:]
        return _other(link, last[0]) if last else _cut(link)
    return found


def _changed(link: Link, match: re.Match[str], said: str) -> AgentGone:
    shown = re.search(r"SHA256:\S+", said)
    known = re.search(r"Offending \S+ key in (\S+)", said)
    file = known[1].rpartition(":")[0] if known else link.known_hosts
    return link.gone(
        f"THE HOST KEY OF {link.where} HAS CHANGED. It is not the machine that {file} knows, or somebody sits in "
        f"between. Nothing was sent to it. It shows {shown[0] if shown else 'another key'}",
        hint=f"only when you know why, such as a new installation: compare with `ssh-keygen -lf {PUBLIC_KEY}` typed at "
        f"its console, then ssh-keygen -R {shlex.quote(_known_as(link))} -f {file}, and {_scan(link, file)}",
        code="host-key-changed",
    )


def _unknown(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        f"the host key of {link.where} is not known here (expected in {link.known_hosts})",
        hint=f"{_scan(link, link.known_hosts)}, then compare `ssh-keygen -lf {link.known_hosts}` with the same of "
        f"{PUBLIC_KEY} at the server's console",
        code="host-key-unknown",
    )


def _denied(link: Link, match: re.Match[str], said: str) -> AgentGone:
    key = f"the key {link.identity}" if link.identity else "the keys that ssh offers by itself (ssh-add -l)"
    return link.gone(
        f"{link.user}@{link.where} lets nobody in with {key}; it takes: {match[1].replace(',', ', ')}",
        hint=f"{link.by_hand} shows the same; a server that was never set up, or lacks this key: "
        f"fab bootstrap:{link.environment}",
        code="permission-denied",
    )


def _refused(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        f"{link.where} refuses connections: the machine is up, and no sshd listens there",
        hint="at its console: systemctl status ssh; or correct ssh.port in the environment file",
        code=UNREACHABLE,
    )


def _away(link: Link, match: re.Match[str], said: str) -> AgentGone:
    what = match[1][0].lower() + match[1][1:]
    tried = f" (tried for {link.connect_timeout} s)" if "timed out" in what else ""
    return link.gone(
        f"can't be reached at {link.where}: {what}{tried}",
        hint=f"is it switched on, and the network in between up? {link.by_hand}",
        code=UNREACHABLE,
    )


def _hung_up(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        f"{link.where} hung up before anybody could log in: {match[0].strip()}",
        hint="at its console: journalctl -u ssh (MaxStartups? a firewall? something else than sshd?)",
        code=UNREACHABLE,
    )


def _config(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(f"ssh does not take its configuration: {match[0].strip()}", hint="mend that file, or [ssh] config")


def _cut(link: Link) -> AgentGone:
    return link.gone(
        f"the connection from here to {link.where} broke, or nothing came over it for {link.alive} s: the machine is "
        "off or frozen, or the network in between is cut",
        hint=f"{link.by_hand}; what it was doing is finished or undone over there: "
        f"fab status:{link.environment} shows it",
        code="cut",
    )


def _other(link: Link, last: str) -> AgentGone:
    return link.gone(f"ssh to {link.where} failed: {last}", hint=link.by_hand)


def _no_agent(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        f"there is no agent ({link.agent.split()[0]})", hint=f"fab bootstrap:{link.environment}", code=NO_AGENT
    )


def _no_sudo(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        f"sudo does not let {link.user} call the agent: {match[0].strip()}",
        hint=f"fab bootstrap:{link.environment} writes the rule: {link.user} ALL=(root) NOPASSWD: {link.agent}",
        code="sudo",
    )


def _no_python(link: Link, match: re.Match[str], said: str) -> AgentGone:
    return link.gone(
        "there is no python3 for the agent", hint=f"fab bootstrap:{link.environment} installs it", code="no-python"
    )


def _known_as(link: Link) -> str:
    return link.address if link.port == 22 else f"[{link.address}]:{link.port}"


def _scan(link: Link, file: str) -> str:
    port = "" if link.port == 22 else f"-p {link.port} "
    return f"ssh-keyscan -t ed25519 {port}{link.address} >>{file}"


Understand = Callable[[Link, re.Match[str], str], AgentGone]

# The first that fits counts. Texts of OpenSSH 8 and 9, sudo 1.9, dash and bash, in the language C.
SSH: tuple[tuple[str, Understand], ...] = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED|^Host key for .* has changed", _changed),
    (r"^No .* host key is known for|^Host key verification failed", _unknown),
    (r"Permission denied \(([^)]*)\)", _denied),
    (r"Connection refused", _refused),
    (r"(Connection timed out(?: during banner exchange)?|Operation timed out|No route to host)", _away),
    (r"(Network is unreachable|Host is down|Could not resolve hostname .*)", _away),
    (r"^(?:kex|ssh)_exchange_identification: .*|^Connection (?:closed|reset) by .*", _hung_up),
    (r"^Can't open user config file .*|^.*Bad configuration option: .*|^Bad owner or permissions on .*", _config),
)
REMOTE: tuple[tuple[str, Understand], ...] = (
    (r"^sudo: \S*/releasectl: command not found", _no_agent),
    (r"^.*sudo: (?:command )?not found", _no_agent),
    (r"^sudo: a (?:terminal|password) is required.*|^sudo: .*not (?:in the sudoers file|allowed to).*", _no_sudo),
    (r"^Sorry, user .*|^.*may not run sudo.*", _no_sudo),
    (r"python3.*: (?:No such file or directory|not found)", _no_python),
)
