"""Reach many servers as the one who sets them up, and say what it means when one can't be reached."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from deploy import ssh, ssh_failures
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError
from deploy.hosts import PARALLEL
from deploy.terminal import hearing

T = TypeVar("T")


class ServerError(SlipwayError):
    """Something on a server is in the way."""

    exit_code = Exit.FAILED_UNCHANGED


def run(
    environment: Environment, contract: Contract, host: str, words: list[str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command on a server, as root, to its end.

    Raises: SlipwayError when it takes too long, or the server can't be reached.
    """
    command = ssh.command(environment, host, words, admin=True)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"{host}: no answer for {timeout:.0f} s", hint="is the machine overloaded?") from None
    if done.returncode == ssh_failures.SSH_FAILED:
        raise explained(environment, contract, host, done.returncode, done.stderr)
    return done


def explained(environment: Environment, contract: Contract, host: str, status: int | None, said: str) -> SlipwayError:
    """Say what it means that a session ended early."""
    link = ssh.link(environment, host, contract.name, admin=True)
    if found := ssh_failures.explain(link, status, said):
        return found
    last = said.strip().splitlines()[-1:] or [f"the session ended with {status}"]
    return ServerError(f"{host}: {last[0]}", hint=link.by_hand)


def side_by_side(
    hosts: Iterable[str], function: Callable[[str], T], interrupts: Sequence[Callable[[], object]] = ()
) -> tuple[dict[str, T], dict[str, SlipwayError]]:
    """Call a function for each host; give what it returned, and where it failed.

    Each Ctrl-C calls the next of `interrupts`, which have to let all of them end soon; the last is the most urgent.
    """
    names, found, errors = list(hosts), dict[str, T](), dict[str, SlipwayError]()
    with ThreadPoolExecutor(min(PARALLEL, len(names)) or 1) as pool:
        futures = _carried_out(names, lambda host: pool.submit(function, host), interrupts)
    for host in names:
        future = futures[host]
        if future.cancelled():
            errors[host] = ServerError(f"{host}: stopped before its turn")
            continue
        try:
            found[host] = future.result()
        except SlipwayError as error:
            errors[host] = error
    return found, errors


def _carried_out(
    names: Sequence[str], begin: Callable[[str], Future[T]], interrupts: Sequence[Callable[[], object]]
) -> dict[str, Future[T]]:
    """Begin with all and wait for them; each Ctrl-C, also while another is being acted on, is the next interrupt.

    All that happens comes out of one queue. KeyboardInterrupt, raised where a future's lock is taken or given back,
    leaves it taken: after a second Ctrl-C a task stood still for ever (seen).
    """
    happened: SimpleQueue[BaseException | None] = SimpleQueue()  # None: one host is done
    futures: dict[str, Future[T]] = {}
    waiting = iter(interrupts)
    with hearing(lambda _: happened.put(KeyboardInterrupt())):
        for name in names:
            futures[name] = begin(name)
            futures[name].add_done_callback(lambda _: happened.put(None))
        for _ in names:
            while (event := happened.get()) is not None:
                interrupt = next(waiting, None) if isinstance(event, KeyboardInterrupt) else None
                if interrupt is None:
                    if interrupts:
                        interrupts[-1]()
                    raise event
                for future in futures.values():
                    future.cancel()
                threading.Thread(target=_act, args=(interrupt, happened), daemon=True).start()
    return futures


def _act(interrupt: Callable[[], object], happened: SimpleQueue[BaseException | None]) -> None:
    """Act on one Ctrl-C, beside whoever hears the next; what goes wrong ends the waiting."""
    try:
        interrupt()
    except BaseException as error:  # raised again where it is waited for
        happened.put(error)
