"""Keep generations running as plain processes: no root, no systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from deploy.agent import files, health, releases
from deploy.agent.errors import AgentError, NotServing
from deploy.agent.generations import Generation, environment, load
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import listener, proc, spawn

TAIL = 20  # lines of log in an error
MARGIN = 10  # seconds beyond graceful_timeout before a kill: gunicorn itself needs a moment (TimeoutStopSec in facts)
SERVER = {"workers": 2, "threads": 8, "timeout": 60, "graceful_timeout": 30, "keepalive": 75}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """Living processes of one key: a generation's number, or trial-<number>."""

    key: str
    pid: int
    since: float
    listen: str | None

    @property
    def generation(self) -> int:
        """Tell whose processes these are."""
        return int(self.key.rpartition("-")[2])


def gunicorn(wanted: Manifest, python: str, name: str, *, workers: int | None = None) -> list[str]:
    """Build the command line. The sockets come by LISTEN_FDS: gunicorn then never unlinks or closes what is shared.

    `--bind fd://N --bind unix:…` does not work: gunicorn drops every other address once one is a descriptor (sock.py).
    """
    server = {**SERVER, **wanted.contract.get("server", {})}
    argv = [python, "-m", "gunicorn", "--preload", "--worker-class", "gthread", "--name", name]
    argv += ["--workers", str(workers or server["workers"]), "--threads", str(server["threads"])]
    argv += ["--timeout", str(server["timeout"]), "--graceful-timeout", str(server["graceful_timeout"])]
    argv += ["--keep-alive", str(server["keepalive"])]
    if os.access("/dev/shm", os.W_OK):  # noqa: S108 - a heartbeat file on a slow disk gets healthy workers killed
        argv += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
    major = str(wanted.raw.get("distributions", {}).get("gunicorn", "0")).split(".")[0]
    if major.isdigit() and int(major) >= 25:
        argv.append("--no-control-socket")
    return [*argv, wanted.contract["app"]]


class ProcessSupervisor:
    """Start, stop and watch gunicorns."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def shared_socket(self, address: str) -> socket.socket:
        """Get hold of the shared listening socket, and see that a keeper holds it unless one holds another address.

        Raises: AgentError port-in-use and others of `listener.obtain`.
        """
        shared = listener.obtain(self._layout, address)
        if listener.address_of(self._layout) is None:
            listener.ensure_keeper(self._layout, shared, address)
        return shared

    def keep(self, shared: socket.socket, address: str) -> None:
        """See that the keeper holds this address, and no other."""
        listener.ensure_keeper(self._layout, shared, address)

    def start(self, generation: Generation, wanted: Manifest, shared: socket.socket, address: str) -> None:
        """Start a generation on the shared socket, beside whatever runs there."""
        self._spawn(str(generation.number), generation, wanted, shared, address)

    def start_trial(self, generation: Generation, wanted: Manifest) -> str:
        """Start one worker of a generation on a private socket only; give its key."""
        key = f"trial-{generation.number}"
        self._spawn(key, generation, wanted, None, None)
        return key

    def _spawn(
        self, key: str, generation: Generation, wanted: Manifest, shared: socket.socket | None, address: str | None
    ) -> None:
        path = self._layout.run_file(key, "sock")
        files.remove(path)
        # The real path of the release: sys.prefix is then the release itself, and depends on no link.
        python = f"{self._layout.release(generation.version)}/bin/python"
        name = str(wanted.raw.get("name", "app"))
        argv = gunicorn(wanted, python, f"{name}@{key}", workers=None if shared else 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as private:
            health.reach(path, private.bind)
            private.listen(64)
            sockets = [shared.fileno()] if shared else []
            spawn.spawn(
                self._layout, key, argv, environment(self._layout, generation), [*sockets, private.fileno()], address
            )

    def release_socket(self) -> None:
        """Close the shared socket."""
        listener.stop(self._layout)

    def listening(self) -> str | None:
        """Tell the address that is held."""
        return listener.address_of(self._layout)

    def running(self) -> list[Running]:
        """List the generations, and trials, that have living processes."""
        found = []
        for key in spawn.keys(self._layout):
            if key != listener.KEY:
                alive = spawn.look(self._layout, key)
                if alive:
                    found.append(Running(key, alive.pid, alive.since, alive.listen))
        return found

    def is_running(self, key: str) -> bool:
        """Tell whether processes of a key live."""
        return spawn.look(self._layout, key) is not None

    def wait(self, key: str, wanted: Manifest, check: str, deadline: float, say: Say) -> health.Answer:
        """Wait until a generation answers 200 to its `live` or `ready` check.

        Raises: NotServing died, not-ready, timeout.
        """
        offset = spawn.recorded(self._layout, key).log_offset

        def check_alive() -> None:
            if not self.is_running(key):
                spawn.reap()
                raise NotServing(
                    "died", f"generation {key.rpartition('-')[2]} died while starting", expected="a running gunicorn",
                    got="no process", detail=self.tail(key, offset), hint="its last lines say why",
                )  # fmt: skip

        settings = wanted.contract.get("health", {})
        url = settings.get(check, "/livez" if check == "live" else "/readyz")
        try:
            return health.wait(
                self._layout.run_file(key, "sock"), url, settings.get("host", "localhost"), deadline, check_alive, say
            )
        except NotServing as error:
            error.fields.setdefault("detail", self.tail(key, offset))
            raise

    def ask(self, key: str, wanted: Manifest, timeout: float) -> health.Answer:
        """Ask `ready` once."""
        settings = wanted.contract.get("health", {})
        path = self._layout.run_file(key, "sock")
        return health.ask(path, settings.get("ready", "/readyz"), settings.get("host", "localhost"), timeout)

    def workers(self, pid: int) -> int:
        """Count a master's living workers."""
        return len(proc.children(pid))

    def tail(self, key: str, offset: int = 0, lines: int = TAIL) -> str:
        """Give the last lines of a log."""
        path = self._layout.log_file(key)
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(offset, size - (1 << 16)))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def grace(self, generation: int) -> float:
        """Tell how long a generation may take to finish its requests, in seconds."""
        try:
            wanted = releases.load(self._layout, load(self._layout, generation).version)
        except AgentError:
            return float(SERVER["graceful_timeout"] + MARGIN)
        return float({**SERVER, **wanted.contract.get("server", {})}["graceful_timeout"] + MARGIN)

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask processes to finish and leave, all at once, then wait, then kill; give the seconds it took."""
        began = time.monotonic()
        waiting: dict[str, float] = {}
        for key in keys:
            alive = spawn.look(self._layout, key)
            if alive:
                self._ask_to_leave(key, alive.pid)
                grace = self.grace(int(key.rpartition("-")[2])) if timeout is None else timeout
                waiting[key] = began + grace
            else:
                self._sweep(key)
        told = began
        while waiting:
            for key in [k for k in waiting if not self.is_running(k)]:
                del waiting[key]
                self._sweep(key)
            for key in [k for k, end in waiting.items() if time.monotonic() > end]:
                say(f"generation {key} did not leave in time: killed")
                self._kill(key)
            if waiting and time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"generation {', '.join(waiting)} finishes its requests")
            if waiting:
                time.sleep(0.02)
        spawn.reap()
        return time.monotonic() - began

    def _ask_to_leave(self, key: str, pid: int) -> None:
        holders = proc.holders(self._layout.run_file(key, "alive"))
        # Workers of a killed master are on their own. Where /proc does not show who holds files, the record must do.
        alone = [pid] if proc.leads_session(pid) else []
        for target in [pid] if pid in holders else holders or alone:
            proc.kill(target, signal.SIGTERM)

    def _kill(self, key: str) -> None:
        for _ in range(100):
            for pid in proc.holders(self._layout.run_file(key, "alive")):
                proc.kill(pid, signal.SIGKILL)
            if not self.is_running(key):
                return
            time.sleep(0.02)
        left = ", ".join(map(str, proc.holders(self._layout.run_file(key, "alive")))) or "of another user"
        raise AgentError(
            "cannot-stop",
            f"processes of generation {key} can't be killed: {left}",
            hint="look at them: ps -o pid,stat,wchan,args",
        )

    def _sweep(self, key: str) -> None:
        for suffix in ("sock", "pid", "alive"):
            files.remove(self._layout.run_file(key, suffix))

    def processes(self, ask: Callable[[str], Manifest | None]) -> list[dict[str, Any]]:
        """Describe the living generations for `status`; trials are left out."""
        found = []
        for process in self.running():
            if not process.key.isdigit():
                continue
            wanted = ask(process.key)
            answer = self.ask(process.key, wanted, 1.0) if wanted else None
            status = answer.status if answer else None
            found.append(
                {
                    "generation": process.generation,
                    "pid": process.pid,
                    "workers": self.workers(process.pid),
                    "since": process.since,
                    "ready": status == 200 if status is not None else None,
                    "status": status,
                    "listen": process.listen,
                }
            )
        return found
