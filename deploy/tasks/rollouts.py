"""Tasks that change what an environment runs, and the one that says what they would do."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts

VERSION_HELP = "a version in dist/; by default the one of this checkout"
SPARE_HELP = "go on without hosts that can't be reached, within [rollout] max_unavailable; they are fenced"
LIMIT_HELP = f"{help_texts.LIMIT}; the others stay as they are, until a task without it"
YES_HELP = 'don\'t ask, where the environment file says confirm = true or pause = "confirm"'


def plan(
    c: Any,
    environment: str,
    version: str = "",
    out: str = "",
    limit: str = "",
    json: bool = False,
    skip_unreachable: bool = False,
) -> None:
    """Say exactly what `deploy` would do to ENV, and touch nothing."""
    from pathlib import Path

    from deploy import rollout, saved_plan
    from deploy.errors import Exit
    from deploy.report import plan_as_json, plan_as_text
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(spare=skip_unreachable, limit=common.hosts_named(settings, limit))
    decided = rollout.preview(settings, contract, _release(version))
    if out:
        saved_plan.save(Path(out), environment, decided)
    if json:
        common.say_json(plan_as_json(decided))
    elif decided.is_empty:
        common.say(
            f"nothing to do: {environment} runs {decided.target.version} as generation {decided.target.generation}"
        )
    else:
        common.say(plan_as_text(environment, decided))
        chosen = f" --limit {','.join(settings.limit)}" if settings.limit else ""
        chosen = f" --plan {out}" if out else f" --version {version}{chosen}" if version else chosen
        common.say(f"-> fab deploy:{environment}{chosen}")
    common.leave(Exit.NOTHING_TO_DO if decided.is_empty else Exit.OK)


def deploy(
    c: Any,
    environment: str,
    version: str = "",
    plan: str = "",
    limit: str = "",
    pause: bool = False,
    yes: bool = False,
    json: bool = False,
    wait: str = "",
    skip_unreachable: bool = False,
) -> None:
    """Roll a release and the wanted variables out to ENV, without losing a request."""
    from dataclasses import replace
    from pathlib import Path

    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait, spare=skip_unreachable, limit=common.hosts_named(settings, limit))
    settings = settings.pausing() if pause else settings
    with common.connected(settings, contract) as hosts:
        from deploy import asking, rollout, saved_plan

        announced = saved_plan.read(Path(plan)) if plan else None
        if announced and not limit:
            hosts.environment = replace(settings, limit=announced.limit)
        release = _release(version or (announced.version if announced else ""))
        common.confirm(settings, f"roll out {release.version}", yes=yes)
        ask = asking.whom(yes=yes)
        common.report(lambda reporter: rollout.deploy(hosts, contract, release, reporter, announced, ask), as_json=json)


def rollback(
    c: Any,
    environment: str,
    to: str = "",
    limit: str = "",
    yes: bool = False,
    json: bool = False,
    wait: str = "",
    skip_unreachable: bool = False,
) -> None:
    """Bring ENV back to the generation before, or to another: code and variables together."""
    from deploy import rollout
    from deploy.errors import SlipwayError
    from deploy.tasks import common

    if to and not to.isdigit():
        raise SlipwayError(f"--to: expected the number of a generation, got {to!r}", hint=f"fab releases:{environment}")
    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait, spare=skip_unreachable, limit=common.hosts_named(settings, limit))
    common.confirm(settings, f"go back to generation {to}" if to else "go back to the generation before", yes=yes)
    common.report(
        lambda reporter: rollout.rollback(settings, contract, int(to) if to else None, reporter), as_json=json
    )


def resume(
    c: Any, environment: str, limit: str = "", yes: bool = False, json: bool = False, skip_unreachable: bool = False
) -> None:
    """Go on with the rollout of ENV that was killed: the same release and variables, to where it was going."""
    _take_up("resume", environment, limit, yes=yes, json=json, spare=skip_unreachable)


def abort(
    c: Any, environment: str, limit: str = "", yes: bool = False, json: bool = False, skip_unreachable: bool = False
) -> None:
    """Take the rollout of ENV back that was killed: every host runs again what ran before it."""
    _take_up("abort", environment, limit, yes=yes, json=json, spare=skip_unreachable)


def _take_up(task: str, environment: str, limit: str, *, yes: bool, json: bool, spare: bool) -> None:
    """Say what was found and what will be done, then do it."""
    from deploy import asking, taking_up
    from deploy.report import plan_as_text
    from deploy.resuming import NothingUnfinished
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(spare=spare, limit=common.hosts_named(settings, limit))
    try:
        found, plan = taking_up.unfinished(settings, contract, task)
    except NothingUnfinished as nothing:
        said = {"event": "outcome", "exit": int(nothing.exit_code), "message": nothing.message}
        common.say_json(said) if json else common.say(nothing.report())
        common.leave(nothing.exit_code)
        return
    if json:
        common.say_json({"event": "found", "rollout": found.past.rollout, "text": found.text})
    else:
        common.say(f"found {found.text}")
        common.say(f"{environment}: all of it is done already" if plan.is_empty else plan_as_text(environment, plan))
    common.confirm(settings, f"{task} this rollout", yes=yes)
    name, ask = found.past.rollout, asking.whom(yes=yes)
    common.report(lambda reporter: taking_up.take_up(settings, contract, task, name, reporter, ask), as_json=json)


plan.help = {  # type: ignore[attr-defined]
    "version": VERSION_HELP,
    "out": "keep the plan in this file, for `deploy --plan`",
    "limit": LIMIT_HELP,
    "json": help_texts.JSON,
    "skip_unreachable": SPARE_HELP,
}
deploy.help = {  # type: ignore[attr-defined]
    "version": VERSION_HELP,
    "plan": "do what this file says, or nothing when what it rests on has moved",
    "limit": LIMIT_HELP,
    "pause": "ask after each batch whether to go on, whatever the environment file says",
    "yes": YES_HELP,
    "json": help_texts.JSON + ", a line for each event",
    "wait": help_texts.WAIT,
    "skip_unreachable": SPARE_HELP,
}
rollback.help = {  # type: ignore[attr-defined]
    "to": "number of a generation; `fab releases:ENV` lists them",
    "limit": LIMIT_HELP,
    "yes": YES_HELP,
    "json": help_texts.JSON,
    "wait": help_texts.WAIT,
    "skip_unreachable": SPARE_HELP,
}

resume.help = {  # type: ignore[attr-defined]
    "limit": LIMIT_HELP + "; by default those that it was limited to",
    "yes": YES_HELP,
    "json": help_texts.JSON + ", a line for each event",
    "skip_unreachable": SPARE_HELP,
}
abort.help = {  # type: ignore[attr-defined]
    "limit": LIMIT_HELP + "; by default those that it was limited to",
    "yes": YES_HELP,
    "json": help_texts.JSON + ", a line for each event",
    "skip_unreachable": SPARE_HELP,
}


def _release(version: str) -> Any:
    from deploy import artifacts
    from deploy.artifacts.source import version as versions
    from deploy.tasks.common import ROOT

    return artifacts.find_release(ROOT / "dist", version or versions.current(ROOT).text)
