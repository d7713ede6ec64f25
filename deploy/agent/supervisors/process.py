"""Keep generations running as plain processes: no root, no systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import files, furnish, health, releases
from deploy.agent.errors import AgentError
from deploy.agent.generations import Generation, environment
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.overlay import FILE, SECRETS, laid_over
from deploy.agent.supervisors import (
    WEB,
    Command,
    Running,
    Say,
    Shared,
    beside,
    container,
    key_of,
    listener,
    number_of,
    proc,
    serving,
    spawn,
)


class ProcessSupervisor:
    """Start, stop and watch gunicorns, and what runs beside them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._notified: dict[str, beside.Notified] = {}  # of what was started and has not said that it is ready

    def shared_socket(self, address: str) -> socket.socket:
        """Get hold of the shared listening socket, and see that a keeper holds it unless one holds another address.

        Raises: AgentError port-in-use and others of `listener.obtain`.
        """
        shared = listener.obtain(self._layout, address)
        if listener.address_of(self._layout) is None:
            listener.ensure_keeper(self._layout, shared, address)
        return shared

    def keep(self, shared: Shared, address: str | None) -> None:
        """See that the keeper holds this address, and no other; none where no address is given."""
        if address is None:
            listener.stop(self._layout)
            return
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

    def start_beside(self, generation: Generation, wanted: Manifest, process: str) -> str:
        """Start a process of the contract beside the web server; give its key."""
        key, python = key_of(process, generation.number), f"{self._layout.release(generation.version)}/bin/python"
        argv = beside.command(wanted, process, python)
        self._sweep(key)
        self._notified[key] = notified = beside.Notified()
        variables = {**self._environment(generation, wanted), **notified.variables}
        spawn.spawn(self._layout, key, argv, variables, [], None)
        return key

    def wait_beside(self, key: str, deadline: float, say: Say) -> None:
        """Wait until a process that was just started has said READY=1.

        Raises: NotServing died, timeout.
        """
        beside.wait(
            key, deadline, said_ready=self._notified[key].said_ready, check_alive=lambda: self._check_alive(key),
            tail=lambda: self._tail_since_start(key), say=say,
        )  # fmt: skip
        self._layout.run_file(key, "ready").touch()

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
        return argv, self._environment(generation, wanted)

    def _environment(self, generation: Generation, wanted: Manifest) -> dict[str, str]:
        variables = environment(self._layout, generation)
        return furnish.complete(self._layout.state, wanted.contract, variables, generation.secrets)

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
                    found.append(self._described(key, alive))
        return found

    def _described(self, key: str, alive: spawn.Alive) -> Running:
        said_ready = self._layout.run_file(key, "ready").exists()
        found = Running(key, alive.pid, alive.since, alive.listen)
        return found if found.process in (WEB, "trial") else found._replace(said_ready=said_ready)

    def is_running(self, key: str) -> bool:
        """Tell whether processes of a key live."""
        return spawn.look(self._layout, key) is not None

    def wait(self, key: str, wanted: Manifest, check: str, deadline: float, say: Say) -> health.Answer:
        """Wait until a generation answers 200 to its `live` or `ready` check.

        Raises: NotServing died, not-ready, timeout.
        """
        return serving.wait(
            self._layout, key, wanted, check, deadline, check_alive=lambda: self._check_alive(key),
            tail=lambda: self._tail_since_start(key), say=say,
        )  # fmt: skip

    def _check_alive(self, key: str) -> None:
        if not self.is_running(key):
            spawn.reap()
            raise serving.died(key, self._tail_since_start(key))

    def _tail_since_start(self, key: str) -> str:  # asked late: the child itself records where its words begin
        return self.tail(key, spawn.recorded(self._layout, key).log_offset)

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

    def ask_to_leave(self, keys: Iterable[str]) -> None:
        """Ask processes to finish and leave, and don't wait: `stop` does, later."""
        for key in keys:
            alive = spawn.look(self._layout, key)
            if alive:
                self._ask_to_leave(key, alive.pid)

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask processes to finish and leave, all at once, then wait, then kill; give the seconds it took."""
        began = time.monotonic()
        waiting: dict[str, float] = {}
        for key in keys:
            alive = spawn.look(self._layout, key)
            if alive:
                self._ask_to_leave(key, alive.pid)
                waiting[key] = began + (serving.grace(self._layout, key) if timeout is None else timeout)
            else:
                self._sweep(key)
        told = began
        while waiting:
            for key in [k for k in waiting if not self.is_running(k)]:
                del waiting[key]
                self._sweep(key)
            for key in [k for k, end in waiting.items() if time.monotonic() > end]:
                say(f"{serving.whose(key)} did not leave in time: killed")
                self._kill(key)
            if waiting and time.monotonic() - told > 5:
                told = time.monotonic()
                say(serving.finishing(waiting))
            if waiting:
                time.sleep(0.02)
        spawn.reap()
        return time.monotonic() - began

    def _ask_to_leave(self, key: str, pid: int) -> None:
        files.remove(self._layout.run_file(key, "ready"))  # whoever finds it still there must not count on it
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
            f"processes of {serving.whose(key)} can't be killed: {left}",
            hint="look at them: ps -o pid,stat,wchan,args",
        )

    def _sweep(self, key: str) -> None:
        if key in self._notified:
            self._notified.pop(key).close()
        if container.is_one(self._layout, number_of(key)):
            container.clear(self._layout, container.name_of(self._layout, key))
        for suffix in ("sock", "ready", "pid", "alive"):
            files.remove(self._layout.run_file(key, suffix))

    def facts(self, ask: Callable[[str], Manifest | None]) -> dict[str, Any]:
        """Describe the living generations for `status`, without trials, and the address that is held."""
        return {"processes": serving.describe(self._layout, self.running(), ask), "listening": self.listening()}

    def command(
        self, generation: Generation, argv: Sequence[str], overlay: Path | None = None, *, terminal: bool = False
    ) -> Command:
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
        contract = releases.load(self._layout, generation.version).contract
        variables = furnish.complete(self._layout.state, contract, variables, generation.secrets)
        return Command([python, *argv], variables, str(self._layout.state), lambda: None)
