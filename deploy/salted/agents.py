"""Speak with agents by a salt-master: one SSH connection to it carries the requests for all hosts."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from deploy import sessions
from deploy.agents import GIVEN_UP, LAST_WORDS, UNREACHABLE, Agent, AgentGone, Explain
from deploy.errors import SlipwayError
from deploy.ssh_failures import NO_AGENT

PIECE = 1 << 18  # bytes of a payload between which other requests may be sent
SENT = {f"deploy.salted.{name}": Path(__file__).with_name(f"{name}.py") for name in ("book", "relay")}
CONFIG = "/etc/salt/master"
# What the master's own python3 runs: it looks for Salt, and lets that one's Python run what comes by the input.
FIND = """\
import os, shutil, sys
name, program, silence, config = sys.argv[1:5]
places = ["/usr/lib/%s/salt/current/bin" % name, os.environ.get("PATH", ""), "/usr/local/bin:/opt/saltstack/salt"]
found = shutil.which(program, path=":".join(places))
if not found:
    sys.exit("slipway-relay: there is no %s" % program)
real = os.path.realpath(found)
with open(real, "rb") as file:
    first = file.readline(200).decode(errors="replace")
beside = os.path.join(os.path.dirname(real), "bin", "python3")
python = beside if os.path.exists(beside) else first[2:].split()[0]
lib = os.path.join(os.path.dirname(os.path.dirname(real)), "lib")
code = '''
import json, sys, types, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[4])
for name, text in json.loads(sys.stdin.buffer.readline()).items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
'''
os.execv(python, [python, "-I", "-c", code, name, silence, config, lib])
"""


def words(name: str, program: str, silence: int) -> list[str]:
    """Give the words that start the relay on the master, as root."""
    return ["python3", "-I", "-c", FIND, name, program, str(silence), CONFIG]


Inbox = queue.SimpleQueue[bytes | AgentGone]


class Line:
    """The connection to the relay on the master. It opens at the first request, and once more when it broke."""

    def __init__(self, master: str, environment: str, command: Sequence[str], explain: Explain) -> None:
        self.master, self.environment = master, environment
        self._command, self._explain = list(command), explain
        self._process: subprocess.Popen[bytes] | None = None
        self._inboxes: dict[int, Inbox] = {}
        self._number = 0
        self._there: set[str] = set()  # payloads that the master has
        self._lock = threading.Lock()  # of what is written
        self._putting = threading.Lock()

    def session(self) -> tuple[int, Inbox]:
        """Begin a session: requests of one session are carried out one after another."""
        with self._lock:
            self._number += 1
            inbox: Inbox = queue.SimpleQueue()
            self._inboxes[self._number] = inbox
            return self._number, inbox

    def open(self) -> None:
        """Begin the connection, and don't wait for it."""
        with self._lock:
            self._open()

    def send(self, frame: Mapping[str, Any], data: bytes = b"") -> None:
        """Send one line, and what lies behind it. Whatever goes wrong is told to every session."""
        with self._lock:
            process = self._open()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # its end is told by whoever reads
                process.stdin.write(json.dumps(frame).encode() + b"\n" + data)
                process.stdin.flush()

    def put(self, payload: Iterable[bytes]) -> str:
        """Bring a payload to the master, once for all hosts that get the same; give its sha256."""
        with tempfile.TemporaryFile() as file:
            digest, size = hashlib.sha256(), 0
            for chunk in payload:
                digest.update(chunk)
                size += file.write(chunk)
            name = digest.hexdigest()
            file.seek(0)
            with self._putting:
                while name not in self._there:
                    data = file.read(PIECE)
                    last = file.tell() == size
                    self.send({"put": name, "length": len(data), "last": last}, data)
                    if last:
                        self._there.add(name)
            return name

    def end(self, session: int, *, kill: bool) -> None:
        """End a session; `kill` forgets what it asked and nobody began."""
        with self._lock:
            self._inboxes.pop(session, None)
            there = self._process is not None
        if kill and there:
            self.send({"end": session})

    def close(self) -> None:
        """End the connection when all that was asked is done."""
        with self._lock:
            process, self._process = self._process, None
            self._inboxes.clear()
        if process:
            sessions.end(process)

    def _open(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by whoever reads)
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C at the operator's terminal is not for it
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
            self._there.clear()
            assert self._process.stdin is not None
            modules = {name: path.read_text(encoding="utf-8") for name, path in SENT.items()}
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(modules).encode() + b"\n")
                self._process.stdin.flush()
            threading.Thread(target=self._read, args=(self._process, stderr), daemon=True).start()
        return self._process

    def _read(self, process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
        """Give each line to its session; in the end tell all of them that nothing more will come."""
        assert process.stdout is not None
        with suppress(ValueError):  # closed by us
            for line in process.stdout:
                number, _, text = line.rstrip(b"\n").partition(b" ")
                inbox = self._inboxes.get(int(number))
                if inbox:
                    inbox.put(_gone(json.loads(text[1:])) if text.startswith(b"!") else text)
        status = None
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(LAST_WORDS)
        stderr.seek(0)
        said = stderr.read().decode(errors="replace").strip()
        stderr.close()
        with self._lock:
            if self._process is not process:
                return  # we closed it
            self._process = None
            inboxes = list(self._inboxes.values())
            self._inboxes.clear()
        with suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]
        process.stdout.close()
        for inbox in inboxes:
            inbox.put(self._explain(status, said) or self._other(said))

    def _other(self, said: str) -> AgentGone:
        last = said.splitlines()[-1:] or ["it ended"]
        hint = f"on {self.master}: systemctl status salt-master; [salt] of the environment file names it"
        text = last[0].removeprefix("slipway-relay: ")
        return AgentGone(f"the salt-master {self.master} can't be worked with: {text}", hint=hint, code=UNREACHABLE)


def _gone(told: Mapping[str, str]) -> AgentGone:
    return AgentGone(told["message"], hint=told["hint"] or None, code=told["code"])


class Relayed(Agent):
    """The agent of a host behind a salt-master."""

    def __init__(self, host: str, line: Line) -> None:
        super().__init__(host, ())
        self._master = line
        self._session: tuple[int, Inbox] | None = None

    def another(self) -> Relayed:
        """See `Agent`."""
        return Relayed(self.host, self._master)

    def open(self) -> None:
        """See `Agent`."""
        self._master.open()

    def _send(self, verb: str, arguments: Mapping[str, Any], payload: Iterable[bytes] = ()) -> None:
        if self._dead and time.monotonic() - self._dead[0] < GIVEN_UP:
            raise self._dead[1]
        if verb == "logs" and arguments.get("follow"):
            raise SlipwayError(
                f"{self.host}: logs --follow needs a stream, and a salt-master gives answers as a whole",
                hint="the same without --follow",
            )
        self._id += 1
        sha256 = self._master.put(payload) if arguments.get("length") else None
        if self._session is None:
            self._session = self._master.session()
        request = {"id": self._id, "verb": verb, **arguments}
        frame = {"session": self._session[0], "host": self.host, "request": request, "payload": sha256}
        self._master.send(frame)

    def _line(self, verb: str, silence: float | None) -> bytes:
        assert self._session
        try:
            found = self._session[1].get(timeout=silence)
        except queue.Empty:
            raise self._gone(verb, f"no answer for {silence:.0f} s") from None
        if isinstance(found, AgentGone):
            self.close()
            if found.code == UNREACHABLE:
                self._dead = time.monotonic(), found
            elif found.code == NO_AGENT:
                found.hint = f"fab bootstrap:{self._master.environment}"
            raise found
        return found

    def _gone(self, verb: str, what: str) -> AgentGone:
        self.close(kill=True)
        return AgentGone(f"{self.host}: {verb}: the agent does not answer ({what})")

    def close(self, *, kill: bool = False) -> None:
        """See `Agent`."""
        session, self._session = self._session, None
        self._posted.clear()
        self._refused = None
        if session:
            self._master.end(session[0], kill=kill)
