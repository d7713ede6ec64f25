"""Keep deployers away from an environment, and let them in again."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def lock(c: Any, environment: str, why: str = "", hours: float = 1.0, json: bool = False) -> None:
    """Keep every deployer away from ENV for some hours, and tell them why."""
    from deploy import lease
    from deploy.errors import SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    if not 0 < hours <= 24:
        raise SlipwayError(f"--hours: expected more than 0 and at most 24, got {hours:g}")
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        lease.lock(hosts, why or "no reason was given", hours * 3600)
    if json:
        common.say_json({"environment": environment, "locked": True, "hours": hours, "why": why})
    else:
        common.say(f"{environment} is locked for {hours:g} h -> fab unlock:{environment}")


def unlock(c: Any, environment: str, yes: bool = False, json: bool = False) -> None:
    """Free the lease of ENV, whoever holds it: a person who locked it, or a deployer that is dead for sure."""
    from deploy import lease
    from deploy.errors import Exit
    from deploy.facts import holder
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        held = lease.held(hosts)
        deployers = sorted({holder(found["owner"]) for found in held.values() if "why" not in found["owner"]})
        if deployers:
            question = f"take the lease from {'; '.join(deployers)}: it stops at its next step"
            common.confirm(settings, question, yes=yes, always=True)
        lease.free(hosts, held)
    if json:
        common.say_json({"environment": environment, "unlocked": sorted(held)})
    else:
        common.say(f"{environment} is free" if held else f"nothing to do: nobody holds {environment}")
    common.leave(Exit.OK if held else Exit.NOTHING_TO_DO)


lock.help = {  # type: ignore[attr-defined]
    "why": "what deployers are told",
    "hours": "when it ends by itself; at most 24",
    "json": help_texts.JSON,
}
unlock.help = {  # type: ignore[attr-defined]
    "yes": "don't ask before a deployer that may live loses it",
    "json": help_texts.JSON,
}
