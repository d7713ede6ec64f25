"""Run a container on the very sockets that a process would have: `releasectl exec N`, for releases that are images.

It makes the container, hands sockets, variables and secrets over (`inside` fetches them), passes signals on, and ends
as the container ends. When it is killed the container goes on, since gunicorn has the sockets; whoever starts or stops
that generation next removes it by its name.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deploy.agent import files, health
from deploy.agent.docker import Engine
from deploy.agent.errors import AgentError, in_a_line
from deploy.agent.layout import Layout
from deploy.agent.supervisors import PROCESSES, WEB, beside, container, key_of
from deploy.agent.supervisors.container import Job

HAND_OVER = 30.0  # seconds from the start of a container to its first word
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BEGIN = 5.0
LOOK = 0.2  # seconds between two questions to an engine that is away
FRAME = struct.Struct(">B3xI")  # stream and length, before each piece of what a container says
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (SO_PEERCRED in socket(7))


def run(layout: Layout, words: Sequence[str], given: Mapping[str, str]) -> int:
    """Run a container for `N`, `N trial`, `N worker|scheduler` or `N run ARGV...`; give the status it ends with.

    `N clear` and `N clear worker|scheduler` clear away what is left of one.
    """
    number, mode = int(words[0]), words[1] if len(words) > 1 else "serve"
    try:
        if mode == "clear":
            container.clear(layout, container.name_of(layout, key_of(words[2] if words[2:] else WEB, number)))
            return 0
        job = container.job(layout, number, mode, words[2:], given)
        notify = given.get("NOTIFY_SOCKET") if layout.systemd and mode in PROCESSES else None
        return Runner(layout, job, relay=layout.systemd and mode != "run", notify=notify).run()
    except (AgentError, OSError) as error:
        os.write(2, f"releasectl: generation {words[0]} can't start: {in_a_line(error)}\n".encode(errors="replace"))
    return 1


class Runner:
    """One container, from before its start to after its end."""

    def __init__(self, layout: Layout, job: Job, *, relay: bool, notify: str | None = None) -> None:
        self._layout, self._job, self._engine = layout, job, Engine()
        self._id = ""
        self._handed = False
        self._pid = 0  # of the program in the container, as seen from here
        self._code: int | None = None
        self._threads: list[threading.Thread] = []
        self._wake, self._waker = os.pipe()
        # The journal files a line under the unit whose control group the writer is in: a container's go through us.
        self._notify = notify
        # systemd believes READY=1 of a unit's own processes only: a container's goes through us, too.
        self._notified = beside.Notified(job.user[0]) if notify else None
        if self._notified:
            job.message["environment"] |= self._notified.variables
        self._words: int | None = None
        self._output: int | None = None
        if relay:
            self._words, self._output = os.pipe()

    def run(self) -> int:
        """Run it to its end, and give its status."""
        self._listen_to_signals()
        self._engine.remove(self._job.name)  # of one whose `releasectl exec` was killed
        with self._door() as door:
            described = container.description(self._layout, self._job)
            self._id = self._engine.call("POST", "/containers/create", body=described, name=self._job.name)["Id"]
            try:
                self._follow(self._await_end)
                self._follow(self._hear_words)
                self._engine.call("POST", f"/containers/{self._id}/start")
                connection = self._accept(door)
                if connection:
                    with connection:
                        self._hand_over(connection)
                return self._see_it_through()
            finally:
                self._engine.remove(self._id)

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)  # what counts is its number in the pipe

    @contextlib.contextmanager
    def _door(self) -> Iterator[socket.socket]:
        """Lay out what the container starts with, within reach of its user and of nobody else."""
        folder = container.box(self._layout, self._job.name)
        files.clear(folder)
        folder.mkdir(mode=0o750)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                health.reach(folder / container.DOOR, door.bind)
                door.listen(1)
                source = pkgutil.get_data(__package__, container.PROGRAM)
                assert source is not None
                files.write_file(folder / container.PROGRAM, source, 0o440)
                home = folder / container.HOME
                place = home / os.path.basename(self._job.directory)  # where the state directory is mounted
                place.mkdir(parents=True)
                for path, mode in ((folder, 0o750), (folder / container.DOOR, 0o660), (home, 0o755), (place, 0o755)):
                    os.chmod(path, mode)  # whatever the umask
                for path in (folder, folder / container.DOOR, folder / container.PROGRAM):
                    os.chown(path, os.geteuid(), self._job.user[1])
                yield door
        finally:
            files.clear(folder)

    def _follow(self, follow: Callable[[Callable[[], None]], None]) -> None:
        """Have a thread follow something of the container, and wait until it does: from before its start."""
        begun = threading.Event()
        thread = threading.Thread(target=follow, args=(begun.set,), daemon=True)
        thread.start()
        self._threads.append(thread)
        begun.wait(BEGIN)

    def _await_end(self, begun: Callable[[], None]) -> None:
        code, until = None, "next-exit"  # it has not begun yet
        while code is None:
            try:
                waiting = self._engine.ask("POST", f"/containers/{self._id}/wait", timeout=None, condition=until)
                with waiting as answer:
                    begun()
                    code = int(json.loads(answer.read())["StatusCode"])
            except (AgentError, ValueError):
                code, until = None if self._outlived_engine() else 1, "not-running"
        self._code = code
        os.write(self._waker, b"\0")

    def _outlived_engine(self) -> bool:
        """Tell, once an engine that went away is back, whether the container lived on (its setting `live-restore`)."""
        while self._pid and os.path.exists(f"/proc/{self._pid}"):
            with contextlib.suppress(AgentError):
                found = self._engine.find(f"/containers/{self._id}/json")
                return bool(found and found["State"]["Running"])
            time.sleep(LOOK)
        return False

    def _hear_words(self, begun: Callable[[], None]) -> None:
        """Pass on what is said before our own output is handed over: Python's words when it can't even begin."""
        with contextlib.suppress(AgentError):
            place = f"/containers/{self._id}/attach"
            with self._engine.ask("POST", place, timeout=None, stream=1, stdout=1, stderr=1) as answer:
                begun()
                while head := answer.read(FRAME.size):
                    os.write(2, answer.read(FRAME.unpack(head)[1]))

    def _accept(self, door: socket.socket) -> socket.socket | None:
        """Wait for the container to ask; None when it ended before."""
        end = time.monotonic() + HAND_OVER
        while self._code is None:
            if door in self._turn([door], max(0.0, end - time.monotonic())):
                return door.accept()[0]
            if time.monotonic() > end:
                raise AgentError("died", f"the container did not ask for its sockets within {HAND_OVER:g} s")
        os.write(2, b"releasectl: the container ended before it asked for its sockets\n")
        return None

    def _hand_over(self, connection: socket.socket) -> None:
        """Send what `inside` fetches, to the app's user and nobody else."""
        size = CREDENTIALS.size
        pid, uid, _ = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        if uid != self._job.user[0]:
            raise AgentError("died", f"user {uid} asked for the sockets", expected=str(self._job.user[0]))
        outputs = [1, 2] if self._output is None else [self._output, self._output]
        rights = array.array("i", [*outputs, *self._job.descriptors]).tobytes()
        data = json.dumps(self._job.message).encode()
        sent = connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        connection.sendall(data[sent:])
        (container.box(self._layout, self._job.name) / container.MASTER).write_text(f"{pid}\n", encoding="ascii")
        self._pid, self._handed = pid, True

    def _see_it_through(self) -> int:
        if self._output is not None:
            os.close(self._output)  # the pipe ends with the container
        while self._code is None:
            self._turn([], None)
        while self._words is not None and self._pass_words():
            pass
        for thread in self._threads:
            thread.join(BEGIN)
        return self._code

    def _turn(self, sources: Sequence[socket.socket], timeout: float | None) -> list[Any]:
        """Wait until something happens; signals and words are seen to here."""
        known = [each for each in (self._wake, self._words, self._notified) if each is not None]
        ready, _, _ = select.select([*known, *sources], [], [], timeout)
        if self._wake in ready:
            for number in os.read(self._wake, 64):
                if number:
                    self._pass_signal(number)
        if self._notified in ready and self._notified.said_ready():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"READY=1", str(self._notify).replace("@", "\0", 1))
        if self._words is not None and self._words in ready and not self._pass_words():
            os.close(self._words)
            self._words = None
        return ready

    def _pass_signal(self, number: int) -> None:
        if not self._handed:
            self._engine.remove(self._id)
            return
        try:
            self._engine.call("POST", f"/containers/{self._id}/kill", signal=signal.Signals(number).name)
        except AgentError as error:
            if error.fields.get("status") not in (404, 409):  # it is gone, or going
                os.write(2, f"releasectl: {error.message}\n".encode())

    def _pass_words(self) -> bool:
        """Pass on what the container says; false at the end of it."""
        assert self._words is not None
        data = os.read(self._words, 1 << 16)
        while data:
            data = data[os.write(1, data) :]
            if not data:
                return True
        return False
