"""One highstate on one server, from the operator's side: ask, send what it lacks, hear how each state goes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import sessions, ssh
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.highstate import reach
from deploy.highstate.bundle import Bundle
from deploy.highstate.parcel import Parcel
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
    parcel: Parcel
    bundle: Bundle
    who: str  # asks, and since when: for others who have to wait
    test: bool  # only say what would change


@dataclass
class _Session:
    """One that is open."""

    host: str
    process: subprocess.Popen[bytes]
    lock: threading.Lock = field(default_factory=threading.Lock)  # of what is being sent
    begun: bool = False  # the server has all that it needs, and runs its states


class Sessions:
    """The sessions that are open, and how they are ended early."""

    def __init__(self, environment: Environment, contract: Contract) -> None:
        self.environment = environment
        self.contract = contract
        self._open: dict[str, _Session] = {}
        self._stopping = False

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
            session = self._open[order.host] = _Session(order.host, process)
            if self._stopping:
                process.kill()
            try:
                return _converse(session, self.contract, order, tell)
            except _EndedError:
                if self._stopping:
                    raise _left(session) from None
                status = process.wait(30)
                said.seek(0)
                last_words = said.read().decode(errors="replace")
                raise reach.explained(self.environment, self.contract, order.host, status, last_words) from None
            finally:
                del self._open[order.host]
                sessions.end(process)

    def stop(self) -> list[str]:
        """Let servers end the state that each is at, and begin no other; name those that are at one."""
        self._stopping = True
        return [session.host for session in list(self._open.values()) if _stop(session)]

    def hang_up(self) -> None:
        """End all sessions at once: what servers were told last is carried out over there."""
        self._stopping = True
        for session in list(self._open.values()):
            session.process.kill()


class _EndedError(Exception):
    """The session is over before the answer."""


def _stop(session: _Session) -> bool:
    """Tell one server to stop; where nothing has begun, the session just ends."""
    if session.lock.acquire(blocking=False):
        try:
            if session.begun:
                with suppress(_EndedError):
                    _send(session.process, b"stop\n")
                return True
        finally:
            session.lock.release()
    session.process.kill()
    return False


def _left(session: _Session) -> HighstateError:
    """Say how a server was left whose session was ended here."""
    how = "left to itself: it ends the state that it is at" if session.begun else "stopped before its states began"
    return HighstateError(f"{session.host}: {how}")


def _converse(session: _Session, contract: Contract, order: Order, tell: Callable[[Event], None]) -> Result:
    process = session.process
    request = {
        "name": contract.name,
        "bundle": order.bundle.key,
        "parcel": order.parcel.key,
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
                parcel = b"" if event["parcel"] else order.parcel.pack()
                tell({**event, "sent": len(salt) + len(parcel)})
                lengths = {"bundle": len(salt), "parcel": len(parcel)}
                with session.lock:
                    _send(process, json.dumps(lengths).encode() + b"\n" + salt + parcel)
                    session.begun = True
            case "error":
                raise HighstateError(f"{order.host}: {event['text']}")
            case "refused":
                return Result(order.host, (), tuple(event["errors"]))
            case "result":
                return Result(order.host, tuple(State(**state) for state in event["states"]), left=event["left"])
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
