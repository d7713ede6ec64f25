"""What may run only once in an environment, as a scheduler does: one host has its role, and no two may overlap. Pure.

On its own host the agent sees to that (deploy/agent/switch.py). This is about a role that moves to another host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from deploy.facts import Host

ALONE = ("scheduler",)  # names of processes, and roles: as deploy/agent/supervisors has them, which reaches processes


def problems(hosts: Sequence[Host], processes: Collection[str], unseen: Collection[str]) -> Iterator[str]:
    """Say why one can't begin on the host that has its role now: another host may still run it."""
    for name in (name for name in ALONE if name in processes):
        for wanted in (host for host in hosts if name in host.runs and not _has(host, name)):
            others = [host.name for host in hosts if host is not wanted and _has(host, name)]
            if others:
                yield (
                    f"{', '.join(others)} still runs the {name} that {wanted.name} shall run, and two may never run "
                    f"-> take the role {name} from all hosts, deploy, then give it to {wanted.name} and deploy again"
                )
            elif unseen:
                yield (
                    f"{', '.join(unseen)} can't be reached and may run a {name}, so {wanted.name} can't begin with it "
                    "-> see that the server is off, and take it out of the environment file"
                )


def notes(hosts: Sequence[Host], processes: Collection[str]) -> Iterator[str]:
    """Say of each that does not run, or of which nobody knows, what that means."""
    for name in (name for name in ALONE if name in processes):
        chosen = [host for host in hosts if name in host.runs]
        if not chosen:
            yield f"no {name} runs: the contract has one, and no host has the role {name}"
        for host in chosen:
            if host.problem:
                yield (
                    f"nobody knows whether the {name} runs: it is {host.name}'s, which can't be reached; it moves "
                    "to no other host by itself, or it might run twice"
                )
            elif host.current is not None and not host.up(name):
                yield f"no {name} runs: {host.name}'s is not ready"


def _has(host: Host, name: str) -> bool:
    return any(process.name == name for process in host.processes)
