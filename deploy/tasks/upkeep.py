"""Tasks that look after what runs: restart it, take a server out of service and back, clear old releases away."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts

YES_HELP = "don't ask"
SPARE_HELP = "go on without hosts that can't be reached"


def restart(
    c: Any,
    environment: str,
    limit: str = "",
    yes: bool = False,
    json: bool = False,
    wait: str = "",
    skip_unreachable: bool = False,
) -> None:
    """Start the processes of what ENV runs anew, host by host, without losing a request."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_restart

    settings, contract = common.open_environment(environment)
    names = common.hosts_named(settings, limit)
    settings = settings.with_options(wait=wait, spare=skip_unreachable, limit=names)
    common.confirm(settings, f"restart what {', '.join(names) or 'it'} run{'s' * (len(names) < 2)}", yes=yes)
    common.report(lambda r: rollout.upkeep(settings, contract, "restart", plan_restart, r), as_json=json)


def migrate(c: Any, environment: str, yes: bool = False, json: bool = False, skip_unreachable: bool = False) -> None:
    """Bring the database of ENV to what the running release knows: one that was restored, or made anew."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_migrate

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(spare=skip_unreachable)
    common.confirm(settings, "migrate its database", yes=yes)
    done = "the database has what the running release knows"
    common.report(lambda r: rollout.upkeep(settings, contract, "migrate", plan_migrate, r, done), as_json=json)


def contract(c: Any, environment: str, yes: bool = False, json: bool = False, skip_unreachable: bool = False) -> None:
    """Run the contract migrations of what ENV runs, once no generation needs the shape before them."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_contract

    settings, project = common.open_environment(environment)
    settings = settings.with_options(spare=skip_unreachable)
    question = "run contract migrations: what they drop is gone, and generations from before can't come back"
    common.confirm(settings, question, yes=yes)
    done = "the database has no contract migration left that may run"
    common.report(lambda r: rollout.upkeep(settings, project, "contract", plan_contract, r, done), as_json=json)


def drain(
    c: Any,
    environment: str,
    limit: str = "",
    yes: bool = False,
    json: bool = False,
    wait: str = "",
    skip_unreachable: bool = False,
) -> None:
    """Take servers of ENV out of service: the load balancer sends them no new requests, those in flight finish."""
    from deploy import rollout
    from deploy.errors import SlipwayError
    from deploy.tasks import common
    from deploy.upkeep import plan_drain

    settings, contract = common.open_environment(environment)
    names = common.hosts_named(settings, limit, web=True)
    if not names:
        raise SlipwayError("expected --limit, such as --limit web2", hint=f"hosts: {', '.join(settings.web)}")
    settings = settings.with_options(wait=wait, spare=skip_unreachable, limit=names)
    common.confirm(settings, f"take {', '.join(names)} out of service", yes=yes)
    back = f"until fab restore:{environment} --limit {','.join(names)}, or the next deploy"
    done = f"{', '.join(names)} out of service, {back}"
    common.report(lambda r: rollout.upkeep(settings, contract, "drain", plan_drain, r, done), as_json=json)


def restore(
    c: Any,
    environment: str,
    limit: str = "",
    backup: str = "",
    yes: bool = False,
    json: bool = False,
    wait: str = "",
    skip_unreachable: bool = False,
) -> None:
    """Put drained servers of ENV back into service; with --backup, bring its database back to a backup."""
    from deploy import rollout
    from deploy.errors import SlipwayError
    from deploy.tasks import common
    from deploy.upkeep import plan_restore

    settings, contract = common.open_environment(environment)
    if backup:
        from deploy.tasks import databases

        if limit:
            raise SlipwayError("expected --limit, for servers, or --backup, for the database; got both")
        settings = settings.with_options(wait=wait)
        databases.restore(settings, contract, backup, yes=yes, as_json=json)
        return
    names = common.hosts_named(settings, limit, web=True)
    settings = settings.with_options(wait=wait, spare=skip_unreachable, limit=names)
    done = f"{', '.join(names) or 'every server'} in service"
    common.report(lambda r: rollout.upkeep(settings, contract, "restore", plan_restore, r, done), as_json=json)


def prune(
    c: Any, environment: str, keep: int = 0, limit: str = "", json: bool = False, skip_unreachable: bool = False
) -> None:
    """Remove old generations and releases of ENV that no rollback can need."""
    from deploy import lease
    from deploy.errors import Exit
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.wording import count, human

    settings, contract = common.open_environment(environment)
    names = common.hosts_named(settings, limit)
    settings, kept = (
        settings.with_options(spare=skip_unreachable),
        common.counted("--keep", keep) or settings.file.rollout.keep,
    )
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        with lease.hold(hosts, "prune") as held:
            asked = {name: agent for name, agent in hosts.there.items() if not names or name in names}
            answers = hosts.each(lambda name, agent: agent.call("prune", keep=kept, token=held.tokens[name]), asked)
            gone = [error.message for name, error in hosts.away.items() if not names or name in names]
    removed = any(answer["generations"] or answer["releases"] for answer in answers.values())
    if json:
        common.say_json({"environment": environment, "hosts": answers, "problems": gone})
    elif not removed:
        common.say(f"nothing to do: {environment} has at most {kept} generations to go back to")
    else:
        for host, answer in answers.items():
            pieces = f"{count(len(answer['generations']), 'generation')}, {count(len(answer['releases']), 'release')}"
            common.say(f"{host}  {pieces} removed, {human(answer['bytes'])} freed")
    for text in () if json else gone:
        common.say(text)
    common.leave(Exit.OK if removed else Exit.NOTHING_TO_DO)


restart.help = {  # type: ignore[attr-defined]
    "limit": help_texts.LIMIT,
    "yes": YES_HELP,
    "json": help_texts.JSON,
    "wait": help_texts.WAIT,
    "skip_unreachable": SPARE_HELP,
}
contract.help = {"yes": YES_HELP, "json": help_texts.JSON, "skip_unreachable": SPARE_HELP}  # type: ignore[attr-defined]
migrate.help = {"yes": YES_HELP, "json": help_texts.JSON, "skip_unreachable": SPARE_HELP}  # type: ignore[attr-defined]
drain.help = {  # type: ignore[attr-defined]
    "limit": "which hosts, as web1 or web1,web2",
    "yes": YES_HELP,
    "json": help_texts.JSON,
    "wait": help_texts.WAIT,
    "skip_unreachable": SPARE_HELP,
}
restore.help = {  # type: ignore[attr-defined]
    "limit": help_texts.LIMIT,
    "backup": "instead: the backup that the database goes back to, or `latest`; `fab backups:ENV` lists them",
    "yes": YES_HELP,
    "json": help_texts.JSON,
    "wait": help_texts.WAIT,
    "skip_unreachable": SPARE_HELP,
}
prune.help = {  # type: ignore[attr-defined]
    "keep": "generations to keep besides what runs; by default [rollout] keep",
    "limit": help_texts.LIMIT,
    "json": help_texts.JSON,
    "skip_unreachable": SPARE_HELP,
}
