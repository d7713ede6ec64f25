"""Tasks that look at the past, and at what could go wrong."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts

LINES = 20


def history(c: Any, environment: str, lines: int = LINES, limit: str = "", json: bool = False) -> None:
    """List what was done to ENV, newest first: who, what, when, how long, and how it ended."""
    import time
    from dataclasses import asdict

    from deploy import history as ledgers
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    lines = common.counted("--lines", lines) or LINES
    with connect(settings, contract.name) as hosts:
        common.only(hosts, limit)
        hosts.require_bootstrap()
        found, errors = hosts.attempt(
            lambda name, agent: agent.call("ledger", tail=2 * lines + 2, kind="rollout")["entries"], hosts.agents
        )
        if errors and not found:
            raise hosts.together(errors)
    past = ledgers.rollouts(found)[:lines]
    missing = [error.message for error in errors.values()]
    if json:
        listed = [{**asdict(entry), "outcome": entry.outcome} for entry in past]
        common.say_json({"environment": environment, "rollouts": listed, "problems": missing})
        return
    rows = [["when", "who", "what", "version", "generation", "took", "outcome"]]
    for entry in past:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.begun))
        took = f"{entry.seconds:.1f} s" if entry.seconds is not None else "-"
        generation = str(entry.generation or "-")
        rows.append([when, entry.by, entry.what, entry.version, generation, took, entry.outcome])
    common.say("\n".join(common.aligned(rows)) if past else f"nothing was ever done to {environment}")
    for text in missing:
        common.say(text)


def doctor(c: Any, environment: str, limit: str = "", json: bool = False) -> None:
    """Examine ENV as a rollout would, touch nothing, and say what to type for each finding."""
    from dataclasses import asdict

    from deploy import doctor as surgery
    from deploy.errors import Exit
    from deploy.tasks import common
    from deploy.wording import count

    settings, contract = common.open_environment(environment)
    found = surgery.examine(settings, contract, common.hosts_named(settings, limit))
    problems = sum(len(finding.problems) for finding in found)
    if json:
        common.say_json({"environment": environment, "findings": [asdict(finding) for finding in found]})
    else:
        rows = [
            [finding.subject, text]
            for finding in found
            for text in (finding.problems and [f"PROBLEM  {p}" for p in finding.problems]) or [finding.fine]
        ]
        common.say("\n".join(common.aligned(rows)))
        well = f"{limit or environment} is ready for a rollout"
        common.say(f"{count(problems, 'problem')}" if problems else well)
    common.leave(Exit.FAILED_UNCHANGED if problems else Exit.OK)


history.help = {"lines": "how many", "limit": help_texts.LIMIT, "json": help_texts.JSON}  # type: ignore[attr-defined]
doctor.help = {"limit": help_texts.LIMIT, "json": help_texts.JSON}  # type: ignore[attr-defined]
