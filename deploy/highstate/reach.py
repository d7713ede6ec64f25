"""Reach many servers as the one who sets them up, and say what it means when one can't be reached."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from deploy import ssh, ssh_failures
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError
from deploy.hosts import PARALLEL

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
        future = futures.get(host)
        if future is None or future.cancelled():
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
    """Begin with all and wait for them; each Ctrl-C, also while another is being acted on, is the next interrupt."""
    futures: dict[str, Future[T]] = {}
    wanted = acted = 0
    try:
        while acted < wanted or not (len(futures) == len(names) or wanted) or not _over(futures):
            try:
                while acted < wanted:
                    acted += 1
                    interrupts[acted - 1]()
                while len(futures) < len(names) and not wanted:
                    futures[names[len(futures)]] = begin(names[len(futures)])
                wait(futures.values())
            except KeyboardInterrupt:
                wanted += 1
                if wanted > len(interrupts):
                    raise
                for future in futures.values():
                    future.cancel()
    except BaseException:
        if interrupts:
            interrupts[-1]()
        raise
    return futures


def _over(futures: Mapping[str, Future[T]]) -> bool:
    return all(future.done() for future in futures.values())
