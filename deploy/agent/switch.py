"""Move this server from one generation to another without losing a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from deploy.agent import generations, releases
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.supervisors import Supervisor, supervisor_of

Say = Callable[[str], None]
TRIAL_GRACE = 0.3  # seconds for its exit handlers: nobody uses a trial


def trial(layout: Layout, number: int, check: str, deadline: float, say: Say) -> dict[str, Any]:
    """Boot a generation on a private socket, ask it, stop it.

    Raises: NotServing died, not-ready, timeout; AgentError when its release is not whole.
    """
    generation = generations.load(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    releases.require_signed(layout, wanted)
    supervisor = supervisor_of(layout)
    _stop_trials(supervisor, say)
    began = time.monotonic()
    started = []
    try:
        started.append(supervisor.start_trial(generation, wanted))
        answer = supervisor.wait(started[0], wanted, check, deadline, say)
    finally:
        _stop_trials(supervisor, say, *started)
    return {"seconds": round(time.monotonic() - began, 3), "status": answer.status}


def _stop_trials(supervisor: Supervisor, say: Say, *started: str) -> None:
    """Stop every trial that runs; of those `started` clear away what is left even when they are dead already."""
    leftovers = {process.key for process in supervisor.running() if process.key.startswith("trial-")}
    supervisor.stop(sorted({*leftovers, *started}), say, timeout=TRIAL_GRACE)


def activate(layout: Layout, number: int, deadline: float, listen: str, say: Say) -> dict[str, Any]:
    """Start generation `number` beside what runs, wait until it is ready, make it current, let the others finish.

    Raises: NotServing died, not-ready, timeout, after which all is as before; AgentError for what is wrong beforehand.
    """
    generation = generations.load(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    supervisor, key = supervisor_of(layout), str(number)
    previous = generations.current(layout)
    if number != previous:  # what served already comes back after a reboot, whoever's key was taken off the list since
        releases.require_signed(layout, wanted)
    before = {process.key: process for process in supervisor.running()}
    held = supervisor.listening()
    seconds = {"start": 0.0, "ready": 0.0, "stop": 0.0}
    clock = time.monotonic()

    with supervisor.shared_socket(listen) as shared:
        moves = key in before and before[key].listen != listen
        starts = moves or key not in before or before[key].leaving
        try:
            if moves:
                say(f"generation {key} moves from {before[key].listen} to {listen}")
                supervisor.stop([key], say)
            if starts:
                say(f"starting generation {key}")
                supervisor.start(generation, wanted, shared, listen)
            seconds["start"], clock = _lap(clock)
            supervisor.wait(key, wanted, "ready", deadline, say)
            seconds["ready"], clock = _lap(clock)
        except BaseException:
            # What served before this call goes on, even when its check fails now: taking it down helps nobody.
            if starts or previous != number:
                supervisor.stop([key], say)
            if held is None:
                supervisor.release_socket()
            raise

        generations.mark(layout, number, "activated", again=previous != number)
        generations.set_current(layout, number)
        # Looked up again: what starts the current generation at boot may have been at it meanwhile.
        others = [process.key for process in supervisor.running() if process.key != key]
        if others:
            say(f"generation {key} is ready; {', '.join(others)} may finish")
            supervisor.stop(others, say)
        supervisor.keep(shared, listen)
    seconds["stop"], clock = _lap(clock)
    changed = bool(starts or others or previous != number or held != listen)
    return {"generation": number, "changed": changed, "previous": previous, "seconds": seconds}


def _lap(since: float) -> tuple[float, float]:
    now = time.monotonic()
    return round(now - since, 3), now


def rollback_target(current: int | None, activated: dict[int, bool]) -> int | None:
    """Choose the newest generation below `current` that was activated once."""
    below = [number for number, was in activated.items() if was and (current is None or number < current)]
    return max(below, default=None)


def rollback(layout: Layout, to: int | None, deadline: float, listen: str, say: Say) -> dict[str, Any]:
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
    return activate(layout, to, deadline, listen, say)


def start(layout: Layout, deadline: float, listen: str, say: Say) -> dict[str, Any]:
    """Start what `current` names, as after a reboot.

    Raises: AgentError nothing-current, and those of `activate`.
    """
    number = generations.current(layout)
    if number is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="deploy first")
    return activate(layout, number, deadline, listen, say)


def stop(layout: Layout, number: int | None, timeout: float | None, say: Say) -> dict[str, Any]:
    """Stop a generation, or all of them and the listening socket."""
    supervisor = supervisor_of(layout)
    running = supervisor.running()
    chosen = [process for process in running if number in (None, process.generation)]
    seconds = supervisor.stop([process.key for process in chosen], say, timeout)
    socket_closed = number is None and supervisor.listening() is not None
    if number is None:
        supervisor.release_socket()
    return {
        "stopped": sorted({process.generation for process in chosen}),
        "changed": bool(chosen) or socket_closed,
        "seconds": round(seconds, 3),
    }
