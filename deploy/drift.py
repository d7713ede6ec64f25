"""How far hosts are from what they should run: files, processes, variables. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.facts import Host

SLACK = 2.0  # seconds that a process may seem older than its generation: clocks tick coarsely


def drift(hosts: Iterable[Host], wanted: str | None) -> list[str]:
    """Say of each host what is not as the last rollout, or the environment file, has it.

    `wanted` is the digest of the variables that the next rollout would bring; None when they can't be told.
    """
    return [f"{host.name}: {text}" for host in hosts if not host.problem for text in _of(host, wanted)]


def _of(host: Host, wanted: str | None) -> list[str]:
    current = host.generation(host.current)
    if current is None:
        return []
    found = []
    release = host.release(current.version)
    if release is None or not release.complete:
        found.append(f"files of {current.version} are missing or altered")
    elif release.digest != current.digest:
        found.append(f"{current.version} is not the one that generation {current.number} was made of")
    others = sorted({p.generation for p in host.processes if p.generation != current.number})
    if others:
        found.append(f"generation {', '.join(map(str, others))} still runs beside {current.number}")
    if any(p.generation == current.number and p.since and p.since + SLACK < current.created for p in host.processes):
        found.append(f"its processes are older than generation {current.number}")
    if wanted is not None and wanted != current.env_digest:
        found.append("its variables are not the wanted ones")
    return found
