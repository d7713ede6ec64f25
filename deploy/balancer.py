"""HAProxy by its runtime socket: look at servers, drain them, restore them.

Source: HAProxy 2.6 management guide, section 9.3 "Unix Socket commands". What was set here is forgotten when HAProxy
reloads, unless the configuration has a server-state file (haproxy#2085): on a server the agent writes it after each
change; for the embedded environment `save_state` gives its content.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import reduce
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from deploy import backends
from deploy.agents import Agent, AgentError
from deploy.bake import Counters
from deploy.errors import SlipwayError
from deploy.facts import Hold, Server

logger = logging.getLogger(__name__)

POLL = 0.05  # seconds between two looks
MAINT, DRAIN = 0x01 | 0x02 | 0x04 | 0x20, 0x08 | 0x10  # bits of srv_admin_state: forced, inherited, by configuration
RUNNING = 2  # srv_op_state: stopped 0, starting 1, running 2, stopping 3 (soft-stop)

SWITCH = "/var/lib/haproxy/maintenance"  # on servers: the list that closes the site while `on` is in it
UNUSABLE = ("no-balancer", "no-state-file")  # codes of the agent: HAProxy is not there, or not as it should be


# What servers did, by the load balancer's place in the list and the backend there.
Counted = dict[tuple[int, str], dict[str, Counters]]


class Send(Protocol):
    """Says runtime commands to one HAProxy and gives their answers."""

    def __call__(self, *commands: str, change: bool = False, hold: Mapping[str, str] | None = None) -> list[str]:
        """Send them. With `change`, what servers are now outlives a reload; `hold` says why they are taken out."""


class BalancerError(SlipwayError):
    """The load balancer does not answer, or refuses."""


def unix_sender(path: Path, timeout: float = 5.0) -> Send:
    """Speak to HAProxy through a local socket, one connection a command, as its command line interface expects.

    For who sets the load balancer itself up: nothing is fenced, and nobody is told why a server is out.
    """

    def send(command: str) -> str:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                # A socket's path may have 107 bytes (unix(7)); through the directory's descriptor it is always short.
                connection.connect(f"/proc/self/fd/{directory}/{path.name}")
                connection.sendall(command.encode() + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        finally:
            os.close(directory)
        return answer.decode()

    def send_or_explain(*commands: str, change: bool = False, hold: Mapping[str, str] | None = None) -> list[str]:
        try:
            return ["{}" if command == "show holds" else send(command) for command in commands]
        except OSError as error:
            raise BalancerError(f"load balancer: no answer on {path}: {error.strerror or error}") from error

    return send_or_explain


def agent_sender(agent: Agent, tokens: Mapping[str, int]) -> Send:
    """Speak to HAProxy through the agent on its host, all commands in one request.

    Changes carry this deployer's number of the lease, so that one that was overtaken changes nothing.
    """

    def send(*commands: str, change: bool = False, hold: Mapping[str, str] | None = None) -> list[str]:
        more = {"token": tokens.get(agent.host), "hold": hold} if change else {}
        try:
            answers: list[str] = agent.call("balancer", commands=list(commands), save=change, **more)["answers"]
        except AgentError as error:
            if error.code in UNUSABLE:
                raise BalancerError(error.message, hint=error.hint) from error
            raise
        return answers

    return send


class Balancer:
    """HAProxy, on one host or on several, and the backend whose servers are the web hosts.

    Servers of the same name in backends beside it follow what is set here; what they do counts as well.
    """

    def __init__(self, backend: str, *sends: Send, switch: str = SWITCH, names: Sequence[str] = ()) -> None:
        self.backend = backend
        self.names = tuple(names) or tuple(f"load balancer {number}" for number, _ in enumerate(sends, 1))
        self._sends = sends
        self._switch = switch

    def servers(self) -> dict[str, Server]:
        """Look at every server of the backend; of several load balancers at all of them together.

        Raises: what keeps one of them from being looked at.
        """
        servers, problem = self.look()
        if problem:
            raise problem
        return servers

    def look(self) -> tuple[dict[str, Server], SlipwayError | None]:
        """Look at every server as far as load balancers answer; say what is wrong with those that do not."""
        looked, problem = self._looked()
        return seen_together(looked, alone=len(self._sends) == 1), problem

    def answering(self) -> tuple[Balancer, SlipwayError | None]:
        """Give those of several load balancers that answer; say what is wrong with the others.

        Raises: what is wrong when none answers.
        """
        looked, problem = self._looked()
        if problem and not looked:
            raise problem
        there = {name: send for name, send in self._named() if name in looked}
        return Balancer(self.backend, *there.values(), switch=self._switch, names=list(there)), problem

    def _named(self) -> list[tuple[str, Send]]:
        return list(zip(self.names, self._sends, strict=True))

    def _looked(self) -> tuple[dict[str, dict[str, Server]], SlipwayError | None]:
        looked: dict[str, dict[str, Server]] = {}
        errors: list[SlipwayError] = []
        for name, send in self._named():
            try:
                looked[name] = self._servers(send)
            except SlipwayError as error:
                errors.append(error)
        return looked, _first(errors)

    def _servers(self, send: Send) -> dict[str, Server]:
        with _understood():
            return self._read(send)

    def _read(self, send: Send) -> dict[str, Server]:
        stat, listed, held = send("show stat -1 4 -1", f"show servers state {self.backend}", "show holds")
        rows = self._rows(stat)
        counters = {row["svname"]: row for row in rows if row["pxname"] == self.backend}
        states = _table(listed.split("\n", 1)[-1], "# ", delimiter=" ")
        holds, found = json.loads(held), {}
        for state in states:
            name, admin, host = state["srv_name"], int(state["srv_admin_state"]), state["srv_addr"]
            row = counters.get(name, {})
            found[name] = Server(
                name=name,
                admin="maint" if admin & MAINT else "drain" if admin & DRAIN else "ready",
                up=int(state["srv_op_state"]) == RUNNING,
                proven=row.get("status") in ("UP", "DRAIN"),  # "UP 1/2": not every check that it takes has passed
                sessions=sum(_open(each) for each in rows if each["svname"] == name),
                check=row.get("check_status", "").lstrip("* "),
                address=f"[{host}]:{state['srv_port']}" if ":" in host else f"{host}:{state['srv_port']}",
                hold=Hold(**holds[name]) if name in holds else None,
            )
        return found

    def _rows(self, stat: str) -> list[dict[str, str]]:
        """Read what was counted of servers, in the project's own backend first."""
        found = [row for row in _table(stat, "# ") if backends.is_of(row["pxname"], self.backend)]
        return sorted(found, key=lambda row: row["pxname"])

    def counters(self) -> Counted:
        """Tell what was counted of each server: for each load balancer, and each of its backends."""
        with _understood():
            return {
                (number, proxy): _counters(list(some))
                for number, send in enumerate(self._sends)
                for proxy, some in groupby(self._rows(send("show stat -1 4 -1")[0]), itemgetter("pxname"))
            }

    def server(self, name: str) -> Server:
        """Look at one server.

        Raises: BalancerError when the backend has no such server.
        """
        servers = self.servers()
        if name not in servers:
            raise BalancerError(
                f"load balancer: backend {self.backend} has no server {name}, only {', '.join(servers) or 'none'}"
            )
        return servers[name]

    def set_state(self, name: str, state: str, hold: Mapping[str, str] | None = None) -> None:
        """Set a server's administrative state: ready, drain or maint; with `hold`, say why it is taken out."""
        errors: list[SlipwayError] = []
        for where, send in self._named():
            try:
                (answer,) = send(f"set server {self.backend}/{name} state {state}", change=True, hold=hold)
                if answer.strip():
                    raise BalancerError(f"{where}: could not set {name} to {state}: {answer.strip()}")
            except SlipwayError as error:  # the others are told all the same
                errors.append(error)
        if problem := _first(errors):
            raise problem

    def set_address(self, name: str, address: str) -> None:
        """Send a server's requests elsewhere. HAProxy answers a change, and no change, with a sentence."""
        host, _, port = address.rpartition(":")
        answers = []
        for send in self._sends:
            for proxy in dict.fromkeys(row["pxname"] for row in self._rows(send("show stat -1 4 -1")[0])):
                command = f"set server {proxy}/{name} addr {host.strip('[]')} port {port}"
                answers += [send(command, change=True)[0].strip()]
        if self.server(name).address != address:
            raise BalancerError(f"load balancer: could not send {name}'s requests to {address}: {' '.join(answers)}")

    def is_closed(self) -> bool:
        """Whether users get the maintenance page; of several load balancers, from any."""
        return any(self._closed())

    def is_all(self, *, closed: bool) -> bool:
        """Whether every load balancer closes the site, or none does."""
        return all(each == closed for each in self._closed())

    def _closed(self) -> list[bool]:
        return [self._closes(send) for send in self._sends]

    def set_closed(self, closed: bool) -> None:
        """Give users the maintenance page instead of the site, or the site again; servers stay as they are."""
        for send in self._sends:
            if self._closes(send) != closed:
                send(f"add acl {self._switch} on" if closed else f"clear acl {self._switch}", change=True)
        if not self.is_all(closed=closed):
            raise BalancerError(f"load balancer: could not {'close' if closed else 'open'} the site")

    def _closes(self, send: Send) -> bool:
        (listed,) = send(f"show acl {self._switch}")
        if "Unknown ACL" in listed:
            raise BalancerError("load balancer: its configuration is from before there was a maintenance page")
        return any(line.split()[-1:] == ["on"] for line in listed.splitlines())

    def wait_for_200(self, name: str, path: str, host: str, timeout: float) -> str:
        """Ask a server from where each load balancer is, until all get 200; give what another got in the end."""
        deadline = time.monotonic() + timeout
        while True:
            answers = [send(f"probe {self.backend}/{name} {path} {host}")[0] for send in self._sends]
            other = next((answer for answer in answers if answer != "200"), None)
            if other is None or time.monotonic() > deadline:
                return other or "200"
            time.sleep(POLL)

    def wait_until(self, name: str, is_so: Callable[[Server], bool], timeout: float) -> Server | None:
        """Look again and again until `is_so`, at most `timeout` seconds; None when it never was."""
        deadline = time.monotonic() + timeout
        while True:
            server = self.server(name)
            if is_so(server):
                return server
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL)

    def answers(self) -> bool:
        """Whether HAProxy is there."""
        with suppress(BalancerError):
            return all(send("show info")[0].startswith("Name: HAProxy") for send in self._sends)
        return False

    def pid(self) -> int:
        """Tell HAProxy's process id."""
        with _understood():
            return int(self._info()["Pid"])

    def description(self) -> str:
        """Tell the description in the configuration that runs."""
        return self._info().get("description", "")

    def _info(self) -> dict[str, str]:
        (info,) = self._sends[0]("show info")
        return dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)

    def save_state(self) -> str:
        """Return the state of all servers, for `load-server-state-from-file`."""
        (states,) = self._sends[0]("show servers state")
        return states


def _counters(rows: Sequence[Mapping[str, str]]) -> dict[str, Counters]:
    """Read the counters of one backend's servers."""
    return {
        row["svname"]: Counters(
            answers=sum(int(row[f"hrsp_{kind}"] or 0) for kind in ("2xx", "3xx", "4xx", "5xx", "other")),
            errors=int(row["hrsp_5xx"] or 0),
            lost=int(row["eresp"] or 0),
            retries=int(row["wretr"] or 0) + int(row["wredis"] or 0),
            milliseconds=int(row["rtime"] or 0),
            waiting=_open(row),
            down=row["check_status"].lstrip("* ") if row["status"].startswith("DOWN") else "",
        )
        for row in rows
    }


def _open(row: Mapping[str, str]) -> int:
    """Count the requests that a server has, and those that wait for it."""
    return int(row["scur"] or 0) + int(row["qcur"] or 0)


def seen_together(looked: Mapping[str, Mapping[str, Server]], *, alone: bool = False) -> dict[str, Server]:
    """See servers as several load balancers do, by their names; who does not know one of them knows it nowhere."""
    views = list(looked.values())
    common = [name for name in (views[0] if views else ()) if all(name in view for view in views)]
    if alone:
        return {name: views[0][name] for name in common}
    return {
        name: replace(
            reduce(together, [view[name] for view in views]), views=tuple((b, v[name]) for b, v in looked.items())
        )
        for name in common
    }


def _first(errors: Sequence[SlipwayError]) -> SlipwayError | None:
    """Give the first error; the others are its problems."""
    if not errors:
        return None
    first, *others = errors
    first.problems = (*first.problems, *(error.message for error in others))
    return first


def together(one: Server, other: Server) -> Server:
    """See a server as two load balancers do: it is in service, or free of users, only where both say so."""
    return replace(
        one,
        admin=max(one.admin, other.admin, key=("ready", "drain", "maint").index),
        up=one.up and other.up,
        proven=one.proven and other.proven,
        sessions=one.sessions + other.sessions,
        check=one.check if one.check == other.check else f"{one.check}, {other.check}",
        address=one.address if one.address == other.address else f"{one.address}, {other.address}",
        hold=max(one.hold, other.hold, key=lambda hold: hold is not None and (hold.why == "fenced") + 1),
    )


@contextmanager
def _understood() -> Iterator[None]:
    """Turn an answer that can't be read into an error.

    Raises: BalancerError.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, csv.Error, RecursionError) as error:
        raise BalancerError(
            f"load balancer: expected tables as HAProxy 2.6 writes them, got what can't be read "
            f"({type(error).__name__}: {str(error)[:80]})",
            hint="systemctl status haproxy, on that host",
        ) from None


def _table(text: str, header: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Read one of HAProxy's tables: a line of names that starts with `header`, then rows."""
    return list(csv.DictReader(io.StringIO(text.strip().removeprefix(header)), delimiter=delimiter))
