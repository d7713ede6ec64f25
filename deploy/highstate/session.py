"""One highstate on one server, from the operator's side: ask, send what it lacks, hear how each state goes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import ssh
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.highstate import reach
from deploy.highstate.bundle import Bundle
from deploy.highstate.result import Result, State

PROGRAM = Path(__file__).with_name("remote.py")
LOADER = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())), 'slipway', 'exec'))"
SALT_AT_LEAST = 3006

Event = Mapping[str, Any]


class HighstateError(SlipwayError):
    """A server could not be brought to its states."""


@dataclass(frozen=True)
class Order:
    """What one server is to do."""

    host: str
    minion: Mapping[str, Any]
    parcel: bytes
    bundle: Bundle
    who: str  # asks, and since when: for others who have to wait
    test: bool  # only say what would change


class Sessions:
    """The sessions that are open: Ctrl-C ends them all, and the servers go on by themselves."""

    def __init__(self, environment: Environment, contract: Contract) -> None:
        self.environment = environment
        self.contract = contract
        self._open: set[subprocess.Popen[bytes]] = set()

    def carry_out(self, order: Order, tell: Callable[[Event], None]) -> Result:
        """Run a server's states and give what came of them; `tell` gets each event on the way.

        Raises: HighstateError when they could not be run to their end.
        """
        words = [self.contract.interpreter, "-I", "-c", LOADER]
        command = ssh.command(self.environment, order.host, words, admin=True)
        with tempfile.TemporaryFile() as said:
            # A session of its own: Ctrl-C here must not tear a connection in the middle of what is being sent.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
            )
            self._open.add(process)
            try:
                return _converse(process, self.contract, order, tell)
            except _EndedError:
                status = process.wait(30)
                said.seek(0)
                last_words = said.read().decode(errors="replace")
                raise reach.explained(self.environment, self.contract, order.host, status, last_words) from None
            finally:
                self._open.discard(process)
                _close(process)

    def hang_up(self) -> None:
        """End all sessions. What has been sent in full is carried out over there."""
        for process in list(self._open):
            process.kill()


class _EndedError(Exception):
    """The session is over before the answer."""


def _converse(
    process: subprocess.Popen[bytes], contract: Contract, order: Order, tell: Callable[[Event], None]
) -> Result:
    request = {
        "name": contract.name,
        "bundle": order.bundle.key,
        "minion": dict(order.minion),
        "salt_at_least": SALT_AT_LEAST,
        "test": order.test,
        "who": order.who,
    }
    program = PROGRAM.read_bytes()
    _send(process, f"{len(program)}\n".encode() + program + json.dumps(request).encode() + b"\n")
    for event in _events(process):
        match event["event"]:
            case "hello":
                salt = b"" if event["bundle"] or event["salt"] else order.bundle.path.read_bytes()
                tell({**event, "sent": len(salt) + len(order.parcel)})
                lengths = {"bundle": len(salt), "parcel": len(order.parcel)}
                _send(process, json.dumps(lengths).encode() + b"\n" + salt + order.parcel)
            case "error":
                raise HighstateError(f"{order.host}: {event['text']}")
            case "refused":
                return Result(order.host, (), tuple(event["errors"]))
            case "result":
                return Result(order.host, tuple(State(**state) for state in event["states"]))
            case _:
                tell(event)
    raise _EndedError


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.flush()
    except BrokenPipeError:
        raise _EndedError from None


def _events(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # what a login script says
        if isinstance(event, dict) and "event" in event:
            yield event


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
