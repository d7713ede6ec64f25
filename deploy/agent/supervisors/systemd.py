"""Keep generations running as units of systemd: `<name>@<n>.service` on `<name>.socket`."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deploy.agent import files, health
from deploy.agent.errors import AgentError
from deploy.agent.generations import Generation, current, processes
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import (
    PROCESSES,
    WEB,
    Command,
    Running,
    Say,
    Shared,
    become,
    beside,
    container,
    journal,
    key_of,
    listener,
    number_of,
    proc,
    serving,
    systemctl,
    transient,
)
from deploy.agent.supervisors.systemctl import Unit

LOOK = 0.2  # seconds between two questions to systemd while a generation comes up
TELL = 5.0  # seconds between two words to the operator while generations finish
START_PATIENCE = 10.0  # seconds
KILLS = 10  # attempts, one a second
CONFIGURATION = Path("/etc/systemd/system")
UNITS = str(CONFIGURATION), "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"
# Salt writes these two as well, or each would undo the other's: salt/app/files/listen.conf.jinja
LISTEN = """\
# Written by releasectl: the address that the environment file gives this host.
[Socket]
ListenStream=
ListenStream={}
"""
CLOSED = """\
# Written by releasectl: the environment file gives this host no address; it serves nobody.
[Unit]
ConditionPathExists=!/
[Socket]
ListenStream=
ListenStream=/run/{}/closed
"""
COMMAND_STOP = "TimeoutStopSec", "5"  # seconds a given-up command gets, as without systemd (commands.GRACE)


def normal(address: str) -> str:
    """Write an address as systemd shows it: `:8000` is all of IPv4."""
    _, host, port = listener.parse(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unit_of(layout: Layout, key: str) -> str:
    """Name the unit of a generation, by the form that its release came in, or of a trial."""
    if key.startswith("trial-"):
        return f"{layout.name}-{key}.service"
    process, number = key.rpartition("-")[0], number_of(key)
    kind = (f"-{process}" if process else "") + ("-image" if container.is_one(layout, number) else "")
    return f"{layout.name}{kind}@{number}.service"


class SystemdSupervisor:
    """Start, stop and watch units; the socket is systemd's."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._name = str(layout.name)
        self._socket, self._umbrella = f"{self._name}.socket", f"{self._name}.service"
        self._started: dict[str, float] = {}  # where a unit's words begin in the journal

    def _unit(self, key: str) -> str:
        return unit_of(self._layout, key)

    def _key(self, unit: str) -> str | None:
        name, names = re.escape(self._name), "|".join(("trial", *PROCESSES))
        found = re.fullmatch(rf"{name}(?:-({names}))?(?:-image)?[@-](\d+)\.service", unit)
        return key_of(found[1] or WEB, int(found[2])) if found else None

    def _look(self) -> dict[str, Unit]:
        beside = [kind for process in PROCESSES for kind in (f"-{process}@*", f"-{process}-image@*")]
        kinds = "@*", "-image@*", *beside, "-trial-*"
        return systemctl.show(*(f"{self._name}{kind}.service" for kind in kinds), self._socket, self._umbrella)

    def _generations(self, units: dict[str, Unit]) -> dict[str, Unit]:
        found = {self._key(name): unit for name, unit in units.items() if name not in (self._socket, self._umbrella)}
        return {key: unit for key, unit in found.items() if key is not None}

    def shared_socket(self, address: str) -> AbstractContextManager[Shared]:
        """See that systemd listens on the address.

        Raises: AgentError bad-address, no-units, wrong-listen, listener-lost, port-in-use, systemd.
        """
        wanted = normal(address)
        units = self._look()
        held, runs = units[self._socket], [k for k, u in self._generations(units).items() if u.living and k.isdigit()]
        if not held.loaded:
            raise AgentError(
                "no-units", f"{self._socket} is not installed on this host", hint="bootstrap the host, or install "
                f"the package {self._name}-host",
            )  # fmt: skip
        if held.address != wanted:
            self._move(held, wanted, runs)
        elif held.active:
            return contextlib.nullcontext()
        elif runs:
            raise AgentError(
                "listener-lost", f"{self._socket} was stopped while generation {', '.join(runs)} still has its socket",
                hint="`stop` everything, then `start` (a short gap)",
            )  # fmt: skip
        self._listen(wanted)
        return contextlib.nullcontext()

    def _move(self, held: Unit, wanted: str, runs: Sequence[str]) -> None:
        """Give the socket unit another address by a drop-in; the unit itself belongs to a package."""
        if runs:
            raise AgentError(
                "wrong-listen", f"{self._socket} can't move while generations run on it: {', '.join(runs)}",
                expected=wanted, got=str(held.address), hint="`stop` everything, then `start` (a short gap)",
            )  # fmt: skip
        self._drop_in(LISTEN.format(wanted))

    def _drop_in(self, text: str) -> None:
        folder = CONFIGURATION / f"{self._socket}.d"
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.atomic_write(folder / "listen.conf", text.encode(), tmp=folder)
        systemctl.call("daemon-reload")

    def _listen(self, wanted: str) -> None:
        # systemd refuses to start a socket whose service is active (socket_start()).
        self.release_socket()
        try:
            systemctl.call("start", self._socket)
        except AgentError as error:
            holder = proc.listener(int(wanted.rpartition(":")[2]))
            systemctl.call("reset-failed", self._socket, check=False)
            if holder is None:
                raise
            raise AgentError(
                "port-in-use", f"{wanted} is in use by {holder}", expected=f"{wanted} free", got=holder,
                hint="stop that process, or give this environment another port", detail=error.message,
            ) from None  # fmt: skip

    def lacking(self) -> list[str]:
        """Name the units that nobody has installed."""
        units = self._socket, f"{self._name}@.service", self._umbrella  # of others only releases know
        return [unit for unit in units if not _installed(unit)]

    def keep(self, shared: Shared, address: str | None) -> None:
        """See that the umbrella is up: as long as it is, traffic makes the socket start nothing."""
        if address is None:
            self._close()
        # Not waited for: it calls `start-current`, which waits for this very agent.
        if not systemctl.show(self._umbrella)[self._umbrella].active:
            systemctl.call("start", "--no-block", self._umbrella)

    def _close(self) -> None:
        """See that nothing listens, now and after a boot: the umbrella brings the socket along."""
        text = CLOSED.format(self._name)
        path = CONFIGURATION / f"{self._socket}.d" / "listen.conf"
        if not path.exists() or path.read_text() != text:
            self._drop_in(text)
        if systemctl.show(self._socket)[self._socket].active:
            self.release_socket()

    def release_socket(self) -> None:
        """Close the shared socket. What is part of the umbrella goes on: it may be a worker in the middle of a job."""
        systemctl.call("stop", "--job-mode=ignore-dependencies", self._umbrella, self._socket)

    def listening(self) -> str | None:
        """Tell the address that is held."""
        return _held(systemctl.show(self._socket)[self._socket])

    def start(self, generation: Generation, wanted: Manifest, shared: Shared, address: str) -> None:
        """Start a generation's unit beside whatever runs."""
        self.start_unit(self._unit(str(generation.number)))

    def start_trial(self, generation: Generation, wanted: Manifest) -> str:
        """Start one worker of a generation on a private socket only; give its key."""
        key = f"trial-{generation.number}"
        unit = self._unit(key)
        self._started[unit] = time.time()
        systemctl.run(self._transient(generation, unit, ["--service-type=exec"], ["trial"]))
        return key

    def start_beside(self, generation: Generation, wanted: Manifest, process: str) -> str:
        """Start the unit of a process of the contract; give its key.

        Raises: AgentError no-process, no-units, systemd.
        """
        key = key_of(process, generation.number)
        beside.command(wanted, process, "python")  # `exec` can only die when there is none
        template = f"{self._unit(key).partition('@')[0]}@.service"
        if not _installed(template):
            raise AgentError(
                "no-units", f"{template} is not installed on this host", hint="bootstrap the host, or install "
                f"the package {self._name}-host",
            )  # fmt: skip
        self.start_unit(self._unit(key))
        return key

    def start_unit(self, unit: str) -> None:
        """Start a unit, and don't wait for it."""
        self._started[unit] = time.time()
        systemctl.call("reset-failed", unit, check=False)  # fails for a unit that never ran
        systemctl.call("start", "--no-block", unit)

    def wait_beside(self, key: str, deadline: float, say: Say) -> None:
        """Wait until a process that was just started has said READY=1.

        Raises: NotServing died, timeout.
        """
        name = self._unit(key)
        before = systemctl.show(name)[name].restarts

        def said_ready() -> bool:
            time.sleep(beside.POLL)
            return systemctl.show(name)[name].active

        beside.wait(
            key, deadline, said_ready=said_ready, check_alive=lambda: self._check_alive(key, before),
            tail=lambda: self._tail_since_start(name), say=say,
        )  # fmt: skip

    def _check_alive(self, key: str, restarts: int) -> None:
        name = self._unit(key)
        unit = systemctl.show(name)[name]
        if unit.restarting or unit.restarts > restarts or not (unit.living or unit.queued):
            raise serving.died(key, self._tail_since_start(name))

    def _tail_since_start(self, name: str) -> str:
        return journal.tail(name, serving.TAIL, self._started.get(name, 0.0))

    def command(
        self, generation: Generation, argv: Sequence[str], overlay: Path | None = None, *, terminal: bool = False
    ) -> Command:
        """Run it as a unit of its own, with our pipes: as the service's user, in its sandbox.

        systemd hands the overlay over as it does the generation's own secrets: to this unit alone.
        """
        unit = f"{self._name}-run-{os.urandom(6).hex()}.service"
        options = ["--wait", "--service-type=exec", "--property=" + "=".join(COMMAND_STOP)]
        options += ["--pty", f"--setenv=TERM={os.environ.get('TERM', 'dumb')}"] if terminal else ["--pipe"]
        name, contained = unit[: -len(".service")], container.is_one(self._layout, generation.number)
        if contained:
            options += [f"--setenv={key}={value}" for key, value in container.of_command(name, overlay).items()]
        elif overlay:
            options += [f"--property=LoadCredential={c}" for c in become.overlay_credentials(self._name, overlay)]

        def clear_away() -> None:
            systemctl.call("stop", unit, check=False)  # gone by now, unless it was given up
            if contained:
                container.clear(self._layout, name)

        words = self._transient(generation, unit, options, ["run", *argv])
        return Command(words, systemctl.ENVIRONMENT, "/", clear_away)

    def _transient(self, generation: Generation, unit: str, options: list[str], words: list[str]) -> list[str]:
        number = str(generation.number)
        settings = transient.settings(systemctl.call("cat", self._unit(number)), number)
        agent, _ = listener.myself()
        return transient.systemd_run(unit, settings, options, [*agent, "--name", self._name, "exec", number, *words])

    def running(self) -> list[Running]:
        """List the generations, and trials, that have living processes."""
        return self._living(self._look())

    def _living(self, units: dict[str, Unit]) -> list[Running]:
        held = units[self._socket].address
        return [
            Running(
                key, unit.pid, unit.since, held if key.isdigit() else None, unit.leaving, unit.active, unit.restarts
            )
            for key, unit in sorted(self._generations(units).items())
            if unit.living
        ]

    def wait(self, key: str, wanted: Manifest, check: str, deadline: float, say: Say) -> health.Answer:
        """Wait until a generation answers 200 to its `live` or `ready` check.

        READY=1 is not enough: gunicorn sends it when it is loaded, which tells nothing of what it will answer.

        Raises: NotServing died, not-ready, timeout.
        """
        name = self._unit(key)
        before = systemctl.show(name)[name].restarts
        looked = 0.0

        def check_alive() -> None:
            nonlocal looked
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                self._check_alive(key, before)

        return serving.wait(
            self._layout, key, wanted, check, deadline, check_alive=check_alive,
            tail=lambda: self._tail_since_start(name), say=say,
        )  # fmt: skip

    def ask_to_leave(self, keys: Iterable[str]) -> None:
        """Ask units to stop, and don't wait: `stop` does, later."""
        units = [self._unit(key) for key in keys]
        if units:
            systemctl.call("stop", "--no-block", *units, check=False)  # a trial may be forgotten by now

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask units to stop, all at once, then wait, then kill; give the seconds it took."""
        began = time.monotonic()
        asked = list(keys)
        if not asked:
            return 0.0
        self.ask_to_leave(asked)
        self._await_end({key: began + self._grace(key, timeout) for key in asked}, say)
        for key in asked:
            if container.is_one(self._layout, number_of(key)):
                container.clear(self._layout, container.name_of(self._layout, key))
            files.remove(self._layout.run_file(key, "sock"))
        failed = [self._unit(key) for key, unit in self._generations(self._look()).items() if unit.failed]
        if failed:
            systemctl.call("reset-failed", *failed, check=False)
        return time.monotonic() - began

    def _grace(self, key: str, timeout: float | None) -> float:
        return serving.grace(self._layout, key) if timeout is None else timeout

    def _await_end(self, ends: dict[str, float], say: Say) -> None:
        """Wait until units have stopped, and kill those that overrun.

        Raises: AgentError cannot-stop.
        """
        told, kills = time.monotonic(), dict.fromkeys(ends, 0)
        while True:
            units = self._generations(self._look())
            left = [key for key in ends if key in units and (units[key].living or units[key].queued)]
            if not left:
                return
            now = time.monotonic()
            for key in [key for key in left if now > ends[key]]:
                if kills[key] == KILLS:
                    raise AgentError(
                        "cannot-stop", f"processes of {serving.whose(key)} can't be killed",
                        hint=f"look at them: systemctl status {self._unit(key)}",
                    )  # fmt: skip
                say(f"{serving.whose(key)} did not leave in time: killed")
                systemctl.call("kill", "--signal=SIGKILL", self._unit(key), check=False)
                ends[key], kills[key] = now + 1, kills[key] + 1
            if now - told > TELL:
                told = now
                say(serving.finishing(left))
            time.sleep(0.05)

    def facts(self, ask: Callable[[str], Manifest | None]) -> dict[str, Any]:
        """Describe the living generations for `status`, without trials, and the address that is held."""
        units = self._look()
        processes = serving.describe(self._layout, self._living(units), ask)
        return {"processes": processes, "listening": _held(units[self._socket])}


def start_current(layout: Layout, say: Say) -> None:
    """Start what `current` names, as the umbrella does at boot, and don't wait for it.

    An agent at work decides by itself what runs: it is waited for, but not for ever, since it may only receive files.
    """
    with contextlib.suppress(AgentError), files.locked(layout.lock, timeout=START_PATIENCE, what="start-current"):
        pass
    number = current(layout)
    if number is None:
        say("nothing was ever activated here: there is nothing to start")
        return
    units = [unit_of(layout, key_of(process, number)) for process in processes(layout, number)]
    if units:
        systemctl.call("start", "--no-block", *units)


def _held(socket: Unit) -> str | None:
    return socket.address if socket.active else None


def _installed(unit: str) -> bool:
    return any(os.path.exists(f"{folder}/{unit}") for folder in UNITS)
