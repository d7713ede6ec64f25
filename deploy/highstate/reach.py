"""Reach many servers as the one who sets them up, and say what it means when one can't be reached."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
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
        futures = {host: pool.submit(function, host) for host in names}
        urgency = list(interrupts)
        try:
            while not all(future.done() for future in futures.values()):
                try:
                    wait(futures.values())
                except KeyboardInterrupt:
                    for future in futures.values():
                        future.cancel()
                    if not urgency:
                        raise
                    urgency.pop(0)()
        except BaseException:
            if interrupts:
                interrupts[-1]()
            raise
    for host, future in futures.items():
        if future.cancelled():
            errors[host] = ServerError(f"{host}: stopped before its turn")
            continue
        try:
            found[host] = future.result()
        except SlipwayError as error:
            errors[host] = error
    return found, errors
