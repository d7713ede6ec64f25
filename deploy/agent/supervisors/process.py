"""Keep generations running as plain processes: no root, no systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import files, health
from deploy.agent.errors import AgentError
from deploy.agent.generations import Generation, environment
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.overlay import FILE, SECRETS, laid_over
from deploy.agent.supervisors import Command, Running, Say, Shared, container, listener, proc, serving, spawn


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

    def keep(self, shared: Shared, address: str) -> None:
        """See that the keeper holds this address, and no other."""
        assert shared is not None
        listener.ensure_keeper(self._layout, shared, address)

    def start(self, generation: Generation, wanted: Manifest, shared: Shared, address: str) -> None:
        """Start a generation on the shared socket, beside whatever runs there."""
        self._spawn(str(generation.number), generation, wanted, shared, address)

    def start_trial(self, generation: Generation, wanted: Manifest) -> str:
        """Start one worker of a generation on a private socket only; give its key."""
        key = f"trial-{generation.number}"
        self._spawn(key, generation, wanted, None, None)
        return key

    def _spawn(self, key: str, generation: Generation, wanted: Manifest, shared: Shared, address: str | None) -> None:
        path = self._layout.run_file(key, "sock")
        files.remove(path)
        argv, variables = self._program(key, generation, wanted, alone=shared is None)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as private:
            health.reach(path, private.bind)
            private.listen(64)
            sockets = [shared.fileno()] if shared else []
            spawn.spawn(self._layout, key, argv, variables, [*sockets, private.fileno()], address)

    def _program(
        self, key: str, generation: Generation, wanted: Manifest, *, alone: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Say what is run, and its environment: gunicorn, or what starts a container with gunicorn."""
        if container.is_one(self._layout, generation.number):
            return self._contained(generation, ["trial"] if alone else [])
        # The real path of the release: sys.prefix is then the release itself, and depends on no link.
        python = f"{self._layout.release(generation.version)}/bin/python"
        name = f"{wanted.raw.get('name', 'app')}@{key}"
        argv = serving.gunicorn(wanted, python, name, workers=1 if alone else None)
        return argv, environment(self._layout, generation)

    def _contained(self, generation: Generation, words: list[str]) -> tuple[list[str], dict[str, str]]:
        command, variables = listener.myself()
        argv = [*command, "--root", str(self._layout.base), "exec", str(generation.number), *words]
        return argv, {**variables, **container.passed_on()}

    def release_socket(self) -> None:
        """Close the shared socket."""
        listener.stop(self._layout)

    def listening(self) -> str | None:
        """Tell the address that is held."""
        return listener.address_of(self._layout)

    def lacking(self) -> list[str]:
        """Name nothing: all it takes is in the release."""
        return []

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

        def tail() -> str:  # asked late: the child itself records where its words begin
            return self.tail(key, spawn.recorded(self._layout, key).log_offset)

        def check_alive() -> None:
            if not self.is_running(key):
                spawn.reap()
                raise serving.died(key, tail())

        return serving.wait(self._layout, key, wanted, check, deadline, check_alive=check_alive, tail=tail, say=say)

    def tail(self, key: str, offset: int = 0, lines: int = serving.TAIL) -> str:
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

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask processes to finish and leave, all at once, then wait, then kill; give the seconds it took."""
        began = time.monotonic()
        waiting: dict[str, float] = {}
        for key in keys:
            alive = spawn.look(self._layout, key)
            if alive:
                self._ask_to_leave(key, alive.pid)
                number = int(key.rpartition("-")[2])
                waiting[key] = began + (serving.grace(self._layout, number) if timeout is None else timeout)
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
        if container.is_one(self._layout, int(key.rpartition("-")[2])):
            container.clear(self._layout, container.name_of(self._layout, key))
        for suffix in ("sock", "pid", "alive"):
            files.remove(self._layout.run_file(key, suffix))

    def processes(self, ask: Callable[[str], Manifest | None]) -> list[dict[str, Any]]:
        """Describe the living generations for `status`; trials are left out."""
        return serving.describe(self._layout, self.running(), ask)

    def command(self, generation: Generation, argv: Sequence[str], overlay: Path | None = None) -> Command:
        """Run it as a child, in the state directory, or in a container."""
        if container.is_one(self._layout, generation.number):
            name = container.name_of(self._layout, f"run-{os.urandom(6).hex()}")
            words, given = self._contained(generation, ["run", *argv])
            given |= container.of_command(name, overlay)
            return Command(words, given, str(self._layout.state), lambda: container.clear(self._layout, name))
        python = f"{self._layout.release(generation.version)}/bin/python"
        variables = environment(self._layout, generation)
        if overlay:
            variables = laid_over(variables, f"{overlay}/{FILE}", f"{overlay}/{SECRETS}/")
        return Command([python, *argv], variables, str(self._layout.state), lambda: None)
