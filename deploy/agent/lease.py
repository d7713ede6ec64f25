"""The lease: one deployer at a time, with an owner, a time to live and a fencing number."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deploy.agent import files, holds
from deploy.agent.errors import AgentError, BadRequest
from deploy.agent.layout import Layout
from deploy.agent.supervisors import proc

OWNER = ("who", "host", "pid", "boot", "start", "rollout")  # or "why" it is locked, without a process


class Lease(NamedTuple):
    """Who holds it, until when, and the number that only grows. No owner: free."""

    owner: Mapping[str, Any] | None
    token: int
    expires: float

    def to_json(self) -> dict[str, Any]:
        """Give the lease as the protocol has it."""
        return self._asdict()


FREE = Lease(None, 0, 0.0)
IsGone = Callable[[Mapping[str, Any]], bool]


def held(lease: Lease, now: float, is_gone: IsGone) -> bool:
    """Tell whether somebody holds a lease: it has not run out, and its owner is not known to be dead."""
    return lease.owner is not None and now < lease.expires and not is_gone(lease.owner)


def acquire(
    lease: Lease, owner: Mapping[str, Any], ttl: float, now: float, is_gone: IsGone, at_least: int = 0
) -> Lease:
    """Take a free lease under the next number; the same owner asking again keeps its number.

    The number is `at_least` that much: other hosts may have seen deployers come and go while this one was away.

    Raises: AgentError lease-held.
    """
    if held(lease, now, is_gone):
        if lease.owner == owner:
            return Lease(owner, max(lease.token, at_least), now + ttl)
        assert lease.owner is not None
        raise AgentError(
            "lease-held", describe(lease.owner),
            holder=dict(lease.owner), token=lease.token, expires=lease.expires,
            expected="a free lease", got=f"held for another {lease.expires - now:.0f} s unless renewed",
            hint="wait, or, if that deployer is dead for sure, unlock",
        )  # fmt: skip
    return Lease(owner, max(lease.token + 1, at_least), now + ttl)


def describe(owner: Mapping[str, Any]) -> str:
    """Say who holds a lease: a deployer, or a person who wants none."""
    who, host, pid, rollout = (owner.get(key, "unknown") for key in ("who", "host", "pid", "rollout"))
    if "why" in owner:
        return f"{who} on {host} has locked it: {owner['why']}"
    return f"{who} on {host} is deploying (process {pid}, rollout {rollout})"


def renew(lease: Lease, token: int | None, ttl: float, now: float) -> Lease:
    """Prolong a lease. One that ran out may be prolonged as long as nobody else has taken it.

    Raises: AgentError lease-lost.
    """
    if lease.owner is None or token != lease.token:
        holder = f"number {lease.token}" + (f", {lease.owner.get('who')}" if lease.owner else ", released")
        raise AgentError(
            "lease-lost", "the lease is not yours any more", expected=f"number {token}", got=holder,
            hint="stop: another deployer may be at work; look at `status`",
        )  # fmt: skip
    return Lease(lease.owner, lease.token, now + ttl)


def overtake(layout: Layout) -> int:
    """Give out the next number to nobody: whoever had the one before is fenced. Only for who holds the lease's lock."""
    new = Lease(None, read(layout).token + 1, 0.0)
    _write(layout, new)
    return new.token


def release(lease: Lease, token: int | None) -> Lease:
    """Give a lease back; giving back what is not yours any more changes nothing."""
    return Lease(None, lease.token, 0.0) if token == lease.token else lease


def owner_is_gone(owner: Mapping[str, Any]) -> bool:
    """Tell whether a lease's owner was a process of this machine, in this boot, that runs no more."""
    if owner.get("boot") != proc.boot_id() or not isinstance(owner.get("pid"), int):
        return False
    started = proc.start_time(owner["pid"])
    return started is None or (owner.get("start") is not None and owner["start"] != started)


def read(layout: Layout) -> Lease:
    """Read the lease. One that is damaged is free, with a number above any that was given: its holder is fenced."""
    try:
        found = json.loads(layout.lease.read_bytes())
        owner = found["owner"]
        if not (owner is None or isinstance(owner, dict)):
            raise TypeError("the owner is no table")
        return Lease(owner, int(found["token"]), float(found["expires"]))
    except FileNotFoundError:
        return FREE
    except (ValueError, KeyError, TypeError):
        return Lease(None, int(time.time()), 0.0)  # numbers count rollouts: they stay far below the seconds since 1970


def show(layout: Layout) -> dict[str, Any] | None:
    """Give the lease for `status`: None when it is free."""
    lease = read(layout)
    return lease.to_json() if held(lease, time.time(), owner_is_gone) else None


def act(layout: Layout, action: str, owner: Mapping[str, Any] | None, ttl: float, token: int | None) -> dict[str, Any]:
    """Carry out the verb `lease`. It has a lock of its own: a heartbeat must not wait for a long `activate`."""
    if action == "acquire" and not owner:
        raise BadRequest("bad-argument", "`owner` is needed to acquire", expected=", ".join(OWNER))
    with files.locked(layout.lease_lock, timeout=10, what="lease"):
        now, old = time.time(), read(layout)
        if action == "acquire":
            new = acquire(old, owner or {}, ttl, now, owner_is_gone, token or 0)
        elif action == "renew":
            new = renew(old, token, ttl, now)
        elif action == "release":
            new = release(old, token)
        else:
            new = old
        if new != old:
            _write(layout, new)
        if action == "release" and new.owner is None:
            _leave_nobody_held(layout)
        return {"held": held(new, now, owner_is_gone), "lease": new.to_json()}


def _leave_nobody_held(layout: Layout) -> None:
    """See that a watcher lives for servers that no deployer puts back any more: an earlier one may have been killed.

    Raises: AgentError systemd.
    """
    if holds.of_vanished(holds.read(layout)):
        from deploy.agent import restoring

        restoring.ensure(layout)


def _write(layout: Layout, lease: Lease) -> None:
    # Not through tmp/: whoever holds the main lock may be sweeping it.
    aside = layout.lease.with_name("lease.json.new")
    files.remove(aside)
    files.write_file(aside, json.dumps(lease.to_json()).encode() + b"\n")
    aside.rename(layout.lease)
    files.fsync_directory(layout.lease.parent)


def check_token(layout: Layout, token: int) -> None:
    """Refuse a deployer that another one has overtaken.

    Raises: AgentError fenced.
    """
    newest = read(layout).token
    if token < newest:
        raise AgentError(
            "fenced", "another deployer has taken over", expected=f"number {newest} or later", got=str(token),
            hint="stop, and look at `status`",
        )  # fmt: skip
