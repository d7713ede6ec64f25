"""Move this server from one generation to another without losing a request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.agent import generations, health, releases
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import ALONE, WEB, Running, Shared, Supervisor, key_of, number_of, supervisor_of

Say = Callable[[str], None]
SEE_OFF = 1.0  # seconds; gunicorn with requests in hand stops accepting at once, and closes its sockets at the end
TRIAL_GRACE = 0.3  # seconds for its exit handlers: nobody uses a trial


def trial(
    layout: Layout, number: int, check: str, deadline: float, say: Say, *, linger: bool = False
) -> dict[str, Any]:
    """Boot a generation on a private socket, ask it, stop it; with `linger` don't wait for its end: `activate` does.

    Raises: NotServing died, not-ready, timeout; AgentError when its release is not whole.
    """
    generation = generations.load(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    releases.require_signed(layout, wanted)
    supervisor = supervisor_of(layout)
    _stop_trials(supervisor, say, *_left(layout))
    began = time.monotonic()
    started, good = [], False
    try:
        started.append(supervisor.start_trial(generation, wanted))
        answer = supervisor.wait(started[0], wanted, check, deadline, say)
        good = True
    finally:
        if good and linger:
            supervisor.ask_to_leave(started)
        else:
            _stop_trials(supervisor, say, *started)
    return {"seconds": round(time.monotonic() - began, 3), "status": answer.status}


def _left(layout: Layout) -> list[str]:
    """Name trials that were told to stop, or killed, as long as nobody has cleared away what is left of them.

    Of any generation: whoever asked for one may have been killed, and that generation may never be tried again.
    """
    return sorted({path.stem for path in layout.run.glob("trial-*")})


def _stop_trials(supervisor: Supervisor, say: Say, *started: str) -> None:
    """Stop every trial that runs; of those `started` clear away what is left even when they are dead already."""
    leftovers = {process.key for process in supervisor.running() if process.key.startswith("trial-")}
    supervisor.stop(sorted({*leftovers, *started}), say, timeout=TRIAL_GRACE)


def activate(
    layout: Layout,
    number: int,
    deadline: float,
    listen: str | None,
    processes: Sequence[str],
    say: Say,
    *,
    linger: bool = False,
) -> dict[str, Any]:
    """Start generation `number` beside what runs, wait until it is ready, make it current, let the others finish.

    `processes` says what of it this host runs: web, on `listen`, and processes of the contract. With `linger` the
    others are waited for only until none takes another request; `stop` has to see the end of those in `leaving`.
    A scheduler of another generation is gone before this one's begins, and comes back when that fails.

    Raises: NotServing died, not-ready, timeout, after which all is as before; AgentError for what is wrong beforehand.
    """
    generation, wanted = _wanted(layout, number, listen, processes)
    supervisor, keys = supervisor_of(layout), [key_of(process, number) for process in processes]
    previous = generations.current(layout)
    held, remembered = supervisor.listening(), generations.processes(layout, number)
    with supervisor.shared_socket(listen) if listen is not None else contextlib.nullcontext() as shared:
        start = _Start(supervisor, generation, wanted, _without_trials(layout, supervisor, say), say)
        try:
            seconds, clock = start.all(processes, shared, listen, deadline)
        except BaseException:
            # What served before this call goes on, even when its check fails now: taking it down helps nobody.
            supervisor.stop(start.started if previous == number else keys, say)
            start.bring_back(layout, previous, deadline)
            if held is None and listen is not None:
                supervisor.release_socket()
            raise

        _make_current(layout, wanted, number, processes, previous)
        # Looked up again: what starts the current generation at boot may have been at it meanwhile.
        others = [process.key for process in supervisor.running() if process.key not in keys]
        if others:
            say(f"generation {number} is ready; {', '.join(others)} may finish")
            _see_off(layout, supervisor, others) if linger else supervisor.stop(others, say)
        supervisor.keep(shared, listen)
    seconds["stop"], clock = _lap(clock)
    leaving = sorted({number_of(key) for key in others} - {number}) if linger else []
    changed = bool(start.started or others or previous != number or held != listen or remembered != list(processes))
    return {"generation": number, "changed": changed, "previous": previous, "seconds": seconds, "leaving": leaving}


def _wanted(layout: Layout, number: int, listen: str | None, processes: Sequence[str]) -> tuple[Generation, Manifest]:
    """Give a generation that can be started, and the manifest of its release."""
    if WEB in processes and listen is None:
        raise BadRequest("bad-argument", "activate: listen is missing, expected where web is one of the processes")
    generation = generations.load(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    # What served already comes back after a reboot, whoever's key was taken off the list since.
    if number != generations.current(layout):
        releases.require_signed(layout, wanted)
    return generation, wanted


def _without_trials(layout: Layout, supervisor: Supervisor, say: Say) -> dict[str, Running]:
    """See the end of trials; give what else runs."""
    running = {process.key: process for process in supervisor.running()}
    trials = {key for key in running if key.startswith("trial-")}
    supervisor.stop(sorted(trials.union(_left(layout))), say, timeout=TRIAL_GRACE)
    return {key: process for key, process in running.items() if key not in trials}


def _make_current(
    layout: Layout, wanted: Manifest, number: int, processes: Sequence[str], previous: int | None
) -> None:
    generations.mark(layout, number, "activated", again=previous != number)
    _inherit(layout, wanted, number, previous)
    generations.set_processes(layout, number, processes)
    generations.set_current(layout, number)


def _see_off(layout: Layout, supervisor: Supervisor, keys: Sequence[str]) -> None:
    """Ask processes to leave, and wait until none of them takes another request: what is in hand may go on."""
    supervisor.ask_to_leave(keys)
    sockets = [layout.run_file(key, "sock") for key in keys if key.isdigit()]
    end = time.monotonic() + SEE_OFF
    while time.monotonic() < end and not all(map(health.refuses, sockets)):
        time.sleep(0.01)


def _inherit(layout: Layout, wanted: Manifest, number: int, previous: int | None) -> None:
    """Let a generation know how far the one before it brought the database: that one will be pruned some day."""
    if previous is None or (layout.generation(number) / "migrated").exists():
        return
    revision = generations.migrated_to(layout, previous)
    if revision and revision in [migration.get("revision") for migration in wanted.raw.get("migrations", [])]:
        generations.mark_migrated(layout, number, revision)


@dataclass
class _Start:
    """The processes of a generation while they come up; `started` are those that were not there before."""

    supervisor: Supervisor
    generation: Generation
    wanted: Manifest
    before: Mapping[str, Running]
    say: Say
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # of other generations, for those that may only run alone

    def all(
        self, processes: Sequence[str], shared: Shared, listen: str | None, deadline: float
    ) -> tuple[dict[str, float], float]:
        """Start what overlaps and wait for it, then what must run alone; give the seconds, and when it was done."""
        seconds, clock = {"start": 0.0, "ready": 0.0, "stop": 0.0}, time.monotonic()
        for alone in (False, True):
            chosen = [process for process in processes if (process in ALONE) is alone]
            for process in chosen:
                if alone:
                    self._end_others(process)
                self.begin(process, shared, listen)
            took, clock = _lap(clock)
            seconds["start"] += took
            for process in chosen:
                self.wait(process, deadline)
            took, clock = _lap(clock)
            seconds["ready"] += took
        return seconds, clock

    def _end_others(self, process: str) -> None:
        """See the end of a process in other generations; looked up again: a boot may have been at it."""
        mine = key_of(process, self.generation.number)
        others = [r.key for r in self.supervisor.running() if r.process == process and r.key != mine]
        if others:
            self.say(f"{', '.join(others)} ends before {mine} begins: no two may run")
            self.ended += others
            self.supervisor.stop(others, self.say)

    def bring_back(self, layout: Layout, previous: int | None, deadline: float) -> None:
        """Start again what ended for nothing: of the generation that goes on."""
        for key in self.ended:
            if number_of(key) != previous:
                continue
            try:
                generation = generations.load(layout, previous)
                wanted = releases.load(layout, generation.version)
                self.say(f"starting {key} again")
                self.supervisor.start_beside(generation, wanted, key.rpartition("-")[0])
                self.supervisor.wait_beside(key, deadline, self.say)
            except (AgentError, OSError) as error:
                self.say(f"{key} does not come back: {error}")

    def begin(self, process: str, shared: Shared, listen: str | None) -> None:
        """Start a process, unless it runs where and as it shall."""
        key = key_of(process, self.generation.number)
        runs = self.before.get(key)
        if process == WEB:
            self._begin_web(key, runs, shared, listen)
        elif runs is None or runs.leaving or not runs.said_ready:
            if runs:
                self.supervisor.stop([key], self.say)
            self.say(f"starting {key}")
            self.started.append(key)
            self.supervisor.start_beside(self.generation, self.wanted, process)

    def _begin_web(self, key: str, runs: Running | None, shared: Shared, listen: str | None) -> None:
        assert listen is not None
        moves = runs is not None and runs.listen != listen
        if runs and moves:
            self.say(f"generation {key} moves from {runs.listen} to {listen}")
            self.supervisor.stop([key], self.say)
        if moves or runs is None or runs.leaving:
            self.say(f"starting generation {key}")
            self.started.append(key)
            self.supervisor.start(self.generation, self.wanted, shared, listen)

    def wait(self, process: str, deadline: float) -> None:
        """Wait until a process can take what is meant for it."""
        key = key_of(process, self.generation.number)
        if process == WEB:
            self.supervisor.wait(key, self.wanted, "ready", deadline, self.say)
        elif key in self.started:
            self.supervisor.wait_beside(key, deadline, self.say)


def _lap(since: float) -> tuple[float, float]:
    now = time.monotonic()
    return round(now - since, 3), now


def rollback_target(current: int | None, activated: dict[int, bool]) -> int | None:
    """Choose the newest generation below `current` that was activated once."""
    below = [number for number, was in activated.items() if was and (current is None or number < current)]
    return max(below, default=None)


def rollback(
    layout: Layout, to: int | None, deadline: float, listen: str | None, processes: Sequence[str], say: Say
) -> dict[str, Any]:
    """Activate an earlier generation.

    Raises: AgentError no-previous, and those of `activate`.
    """
    if to is None:
        known = {g.number: g.activated is not None for g in generations.load_all(layout)}
        to = rollback_target(generations.current(layout), known)
    if to is None:
        raise AgentError(
            "no-previous", "there is no earlier generation that was activated once", hint="deploy an older version"
        )
    return activate(layout, to, deadline, listen, processes, say)


def start(
    layout: Layout, deadline: float, listen: str | None, processes: Sequence[str] | None, say: Say
) -> dict[str, Any]:
    """Start what `current` names, as after a reboot.

    Raises: AgentError nothing-current, and those of `activate`.
    """
    number = generations.current(layout)
    if number is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="deploy first")
    wanted = generations.processes(layout, number) if processes is None else processes
    return activate(layout, number, deadline, listen if WEB in wanted else None, wanted, say)


def stop(
    layout: Layout, number: int | None, timeout: float | None, processes: Sequence[str] | None, say: Say
) -> dict[str, Any]:
    """Stop a generation, or all of them and the listening socket; or just some `processes` of those."""
    supervisor = supervisor_of(layout)
    running = [p for p in supervisor.running() if processes is None or p.process in processes]
    chosen = [process for process in running if number in (None, process.generation)]
    seconds = supervisor.stop([process.key for process in chosen], say, timeout)
    everything = number is None and processes is None
    socket_closed = everything and supervisor.listening() is not None
    if everything:
        supervisor.release_socket()
    return {
        "stopped": sorted({process.generation for process in chosen}),
        "changed": bool(chosen) or socket_closed,
        "seconds": round(seconds, 3),
    }
