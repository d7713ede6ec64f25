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
from deploy.agent.generations import Generation, current
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import (
    Command,
    Running,
    Say,
    Shared,
    become,
    container,
    journal,
    listener,
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
# Salt writes the same, or each would undo the other's: salt/app/files/listen.conf.jinja
LISTEN = """\
# Written by releasectl: the address that the environment file gives this host.
[Socket]
ListenStream=
ListenStream={}
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
    return f"{layout.name}{'-image' if container.is_one(layout, int(key)) else ''}@{key}.service"


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
        found = re.fullmatch(rf"{re.escape(self._name)}(?:(?:-image)?@|-(?=trial-))((?:trial-)?\d+)\.service", unit)
        return found[1] if found else None

    def _look(self) -> dict[str, Unit]:
        patterns = f"{self._name}@*.service", f"{self._name}-image@*.service", f"{self._name}-trial-*.service"
        return systemctl.show(*patterns, self._socket, self._umbrella)

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
        folder = CONFIGURATION / f"{self._socket}.d"
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.atomic_write(folder / "listen.conf", LISTEN.format(wanted).encode(), tmp=folder)
        systemctl.call("daemon-reload")

    def _listen(self, wanted: str) -> None:
        # systemd refuses to start a socket whose service is active (socket_start()); nothing runs by now.
        systemctl.call("stop", self._umbrella, self._socket)
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
        units = self._socket, f"{self._name}@.service", self._umbrella
        return [unit for unit in units if not any(os.path.exists(f"{folder}/{unit}") for folder in UNITS)]

    def keep(self, shared: Shared, address: str) -> None:
        """See that the umbrella is up: as long as it is, traffic makes the socket start nothing."""
        # Not waited for: it calls `start-current`, which waits for this very agent.
        if not systemctl.show(self._umbrella)[self._umbrella].active:
            systemctl.call("start", "--no-block", self._umbrella)

    def release_socket(self) -> None:
        """Close the shared socket."""
        systemctl.call("stop", self._umbrella, self._socket)

    def listening(self) -> str | None:
        """Tell the address that is held."""
        held = systemctl.show(self._socket)[self._socket]
        return held.address if held.active else None

    def start(self, generation: Generation, wanted: Manifest, shared: Shared, address: str) -> None:
        """Start a generation's unit beside whatever runs."""
        unit = self._unit(str(generation.number))
        self._started[unit] = time.time()
        systemctl.call("reset-failed", unit, check=False)  # fails for a unit that never ran
        systemctl.call("start", "--no-block", unit)

    def start_trial(self, generation: Generation, wanted: Manifest) -> str:
        """Start one worker of a generation on a private socket only; give its key."""
        key = f"trial-{generation.number}"
        unit = self._unit(key)
        self._started[unit] = time.time()
        systemctl.run(self._transient(generation, unit, ["--service-type=exec"], ["trial"]))
        return key

    def command(self, generation: Generation, argv: Sequence[str], overlay: Path | None = None) -> Command:
        """Run it as a unit of its own, with our pipes: as the service's user, in its sandbox.

        systemd hands the overlay over as it does the generation's own secrets: to this unit alone.
        """
        unit = f"{self._name}-run-{os.urandom(6).hex()}.service"
        options = ["--pipe", "--wait", "--service-type=exec", "--property=" + "=".join(COMMAND_STOP)]

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
        units = self._look()
        held = units[self._socket].address
        return [
            Running(key, unit.pid, unit.since, held if key.isdigit() else None, unit.leaving)
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

        def tail() -> str:
            return journal.tail(name, serving.TAIL, self._started.get(name, 0.0))

        def check_alive() -> None:
            nonlocal looked
            if time.monotonic() - looked < LOOK:
                return
            looked = time.monotonic()
            unit = systemctl.show(name)[name]
            if unit.restarting or unit.restarts > before or not (unit.living or unit.queued):
                raise serving.died(key, tail())

        return serving.wait(self._layout, key, wanted, check, deadline, check_alive=check_alive, tail=tail, say=say)

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask units to stop, all at once, then wait, then kill; give the seconds it took."""
        began = time.monotonic()
        asked = list(keys)
        if not asked:
            return 0.0
        systemctl.call("stop", "--no-block", *map(self._unit, asked), check=False)  # a trial may be forgotten by now
        self._await_end({key: began + self._grace(key, timeout) for key in asked}, say)
        for key in asked:
            if container.is_one(self._layout, int(key.rpartition("-")[2])):
                container.clear(self._layout, container.name_of(self._layout, key))
            files.remove(self._layout.run_file(key, "sock"))
        failed = [self._unit(key) for key, unit in self._generations(self._look()).items() if unit.failed]
        if failed:
            systemctl.call("reset-failed", *failed, check=False)
        return time.monotonic() - began

    def _grace(self, key: str, timeout: float | None) -> float:
        return serving.grace(self._layout, int(key.rpartition("-")[2])) if timeout is None else timeout

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
                        "cannot-stop", f"processes of generation {key} can't be killed",
                        hint=f"look at them: systemctl status {self._unit(key)}",
                    )  # fmt: skip
                say(f"generation {key} did not leave in time: killed")
                systemctl.call("kill", "--signal=SIGKILL", self._unit(key), check=False)
                ends[key], kills[key] = now + 1, kills[key] + 1
            if now - told > TELL:
                told = now
                say(f"generation {', '.join(left)} finishes its requests")
            time.sleep(0.05)

    def processes(self, ask: Callable[[str], Manifest | None]) -> list[dict[str, Any]]:
        """Describe the living generations for `status`; trials are left out."""
        return serving.describe(self._layout, self.running(), ask)


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
    systemctl.call("start", "--no-block", unit_of(layout, str(number)))
