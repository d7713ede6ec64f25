"""Speak with the agents: one session a host, one line a request (docs/reference/agent.md)."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from deploy import head_start, sessions
from deploy.errors import Exit, SlipwayError

logger = logging.getLogger(__name__)

Event = Mapping[str, Any]
GIVEN_UP = 30.0  # seconds that a host counts as unreachable: each further try would cost the whole connect time-out
UNREACHABLE = "unreachable"  # code of AgentGone
ENDED, WENT = "it ended", "it went away"
LAST_WORDS = 2.0  # seconds from the end of a session's output to the end of its process


class AgentError(SlipwayError):
    """An agent refused or failed; `code` is one of docs/reference/agent.md."""

    def __init__(self, host: str, verb: str, error: Mapping[str, Any]) -> None:
        self.host, self.code = host, str(error.get("code", "failed"))
        self.detail = str(error.get("detail") or "")
        parts = [f"{host}: {verb}: {error.get('message', 'failed')}"]
        parts += [f"{word}: {error[key]}" for key, word in (("expected", "expected"), ("got", "got")) if error.get(key)]
        super().__init__("; ".join(parts), hint=error.get("hint"))
        self.error = dict(error)


class PostRefused(SlipwayError):
    """An agent refused or failed what nobody waited for; what was asked next has been done all the same."""

    def __init__(self, error: AgentError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.code = error.code


class AgentGone(SlipwayError):
    """The agent's session ended, or did not answer in time; `code` says what is in the way, where that is known."""

    exit_code = Exit.FAILED_UNCHANGED

    def __init__(self, message: str, *, hint: str | None = None, code: str = "", **more: Any) -> None:
        super().__init__(message, hint=hint, **more)
        self.code = code


Explain = Callable[[int | None, str], AgentGone | None]  # how the session's process ended, and its last words


class Agent:
    """The agent of one host. Sessions open at the first call; calls of one host go one after another.

    `explain` may know better than anybody what it means that the process of a session has ended. The process of a `far`
    agent is not the agent itself, only what leads to it.
    """

    def __init__(
        self,
        host: str,
        command: Sequence[str],
        explain: Explain = lambda status, said: None,
        *,
        far: bool = False,
    ) -> None:
        self.host = host
        self._far = far
        self._command = list(command)
        self._explain = explain
        self._dead: tuple[float, AgentGone] | None = None  # since when the host can't be reached, and why
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._buffer = b""
        self._id = 0
        self._posted: dict[int, str] = {}  # requests whose answers nobody has waited for yet
        self._refused: AgentError | None = None  # the first of those answers that was an error
        self._lock = threading.Lock()

    def another(self) -> Agent:
        """Make a second session with the same agent."""
        return Agent(self.host, self._command, self._explain, far=self._far)

    def open(self) -> None:
        """Begin the session, and don't wait for it: many are faster side by side."""
        with self._lock:
            self._open()

    def call(self, verb: str, **request: Any) -> dict[str, Any]:
        """Carry out a verb that answers soon; see `request`."""
        return self.request(verb, request)

    def request(
        self,
        verb: str,
        arguments: Mapping[str, Any],
        *,
        silence: float | None = 60.0,
        payload: Iterable[bytes] = (),
        on_event: Callable[[Event], None] | None = None,
    ) -> dict[str, Any]:
        """Carry out one verb and return its result.

        `silence` is the longest time without a word from the agent, in seconds (None: any); `payload` is sent behind
        the request; `on_event` gets each event as it comes.

        Raises: AgentError with the agent's own code; AgentGone when there is no answer; PostRefused.
        """
        with self._lock:
            self._send(verb, arguments, payload)
            return self._answer(verb, silence, on_event)

    def post(self, verb: str, **request: Any) -> None:
        """Send a request and don't wait for its answer; the agent takes requests in order.

        An error of it is raised, as PostRefused, when the next request is done.

        Raises: AgentGone.
        """
        with self._lock:
            self._send(verb, request)
            self._posted[self._id] = verb

    def _send(self, verb: str, arguments: Mapping[str, Any], payload: Iterable[bytes] = ()) -> None:
        if self._dead and time.monotonic() - self._dead[0] < GIVEN_UP:
            raise self._dead[1]
        self._id += 1
        process = self._open()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"id": self._id, "verb": verb, **arguments}).encode() + b"\n")
            for chunk in payload:
                process.stdin.write(chunk)
            process.stdin.flush()
        except BrokenPipeError:
            raise self._gone(verb, WENT) from None

    def _open(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process, self._stderr = head_start.take(self._command) or sessions.begin(self._command)
        return self._process

    def _answer(self, verb: str, silence: float | None, on_event: Callable[[Event], None] | None) -> dict[str, Any]:
        while True:
            line = self._line(verb, silence)
            answer = _understood(line)
            if answer is None:
                raise self._gone(verb, f"it said {line[:200]!r}, which is no answer")
            if answer.get("id") not in (None, self._id):
                self._note(answer)
                continue
            if "event" in answer:
                if on_event:
                    on_event(answer)
            elif not answer.get("ok"):
                raise AgentError(self.host, verb, answer.get("error") or {})
            elif self._refused:
                refused, self._refused = self._refused, None
                raise PostRefused(refused)
            else:
                return dict(answer["result"])

    def _note(self, answer: Mapping[str, Any]) -> None:
        """Take the answer of a request that nobody waited for, or that was given up."""
        verb = self._posted.pop(answer["id"], None) if "event" not in answer else None
        if verb and not answer.get("ok") and self._refused is None:
            self._refused = AgentError(self.host, verb, answer.get("error") or {})

    def _line(self, verb: str, silence: float | None) -> bytes:
        process = self._open()
        assert process.stdout is not None
        deadline = None if silence is None else time.monotonic() + silence
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    raise self._gone(verb, f"no answer for {silence:.0f} s")
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._gone(verb, ENDED)
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _gone(self, verb: str, what: str) -> AgentGone:
        said: list[str] = []
        status = self._status() if what in (ENDED, WENT) else None
        if self._stderr:
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace").strip().splitlines()
        self.close(kill=True)
        known = self._explain(status, "\n".join(said))
        if known is None:
            tail = f": {said[-1]}" if said else ""
            return AgentGone(f"{self.host}: {verb}: the agent does not answer ({what}){tail}")
        if known.code == UNREACHABLE:
            self._dead = time.monotonic(), known
        return known

    def _status(self) -> int | None:
        """Tell how the session's process ended; None when it has not."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(LAST_WORDS) if self._process else None
        return None

    def close(self, *, kill: bool = False) -> None:
        """End the session; the agent ends when its input does."""
        process, self._process, self._buffer = self._process, None, b""
        answered = not self._posted
        self._posted.clear()
        self._refused = None
        if process is None:
            return
        sessions.end(process, kill=kill, cut=self._far and answered)
        if self._stderr:
            self._stderr.close()


def _understood(line: bytes) -> dict[str, Any] | None:
    """Read an event, a result or an error; None when it is neither."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), (int, type(None))):
        return None
    if "event" in answer:
        return answer
    told = answer.get("result") if answer.get("ok") is True else answer.get("error") or {}
    return answer if isinstance(told, dict) else None
