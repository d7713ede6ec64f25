"""Tasks that look after what runs: restart it, take a server out of service and back, clear old releases away."""

from __future__ import annotations

from typing import Any

JSON_HELP = "machine-readable output"
HOSTS_HELP = "only these hosts, as web1 or web1,web2"
YES_HELP = "don't ask"
WAIT_HELP = "wait for another deployer to end: so many seconds, 600 without a number"


def restart(c: Any, environment: str, host: str = "", yes: bool = False, json: bool = False, wait: str = "") -> None:
    """Start the processes of what ENV runs anew, host by host, without losing a request."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_restart

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait)
    only = common.hosts_named(settings, host)
    common.confirm(settings, "restart what it runs", yes=yes)

    def plan(hosts: Any, target: Any, policy: Any) -> Any:
        return plan_restart(hosts, target, policy, only)

    common.report(lambda r: rollout.upkeep(settings, contract, "restart", plan, r), as_json=json)


def migrate(c: Any, environment: str, yes: bool = False, json: bool = False) -> None:
    """Bring the database of ENV to what the running release knows: one that was restored, or made anew."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_migrate

    settings, contract = common.open_environment(environment)
    common.confirm(settings, "migrate its database", yes=yes)
    done = "the database has what the running release knows"
    common.report(lambda r: rollout.upkeep(settings, contract, "migrate", plan_migrate, r, done), as_json=json)


def contract(c: Any, environment: str, yes: bool = False, json: bool = False) -> None:
    """Run the contract migrations of what ENV runs, once no generation needs the shape before them."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_contract

    settings, project = common.open_environment(environment)
    question = "run contract migrations: what they drop is gone, and generations from before can't come back"
    common.confirm(settings, question, yes=yes)
    done = "the database has no contract migration left that may run"
    common.report(lambda r: rollout.upkeep(settings, project, "contract", plan_contract, r, done), as_json=json)


def drain(c: Any, environment: str, host: str = "", yes: bool = False, json: bool = False, wait: str = "") -> None:
    """Take servers of ENV out of service: the load balancer sends them no new requests, those in flight finish."""
    from deploy import rollout
    from deploy.errors import SlipwayError
    from deploy.tasks import common
    from deploy.upkeep import plan_drain

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait)
    names = common.hosts_named(settings, host, web=True)
    if not names:
        raise SlipwayError("expected --host, such as --host web2", hint=f"hosts: {', '.join(settings.web)}")
    common.confirm(settings, f"take {', '.join(names)} out of service", yes=yes)

    def plan(hosts: Any, target: Any, policy: Any) -> Any:
        return plan_drain(hosts, target, policy, names)

    back = f"until fab restore:{environment} --host {','.join(names)}, or the next deploy"
    done = f"{', '.join(names)} out of service, {back}"
    common.report(lambda r: rollout.upkeep(settings, contract, "drain", plan, r, done), as_json=json)


def restore(c: Any, environment: str, host: str = "", json: bool = False, wait: str = "") -> None:
    """Put servers of ENV back into service that were taken out, once they answer."""
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_restore

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait)
    names = common.hosts_named(settings, host, web=True)

    def plan(hosts: Any, target: Any, policy: Any) -> Any:
        return plan_restore(hosts, target, policy, names)

    done = f"{', '.join(names) or 'every server'} in service"
    common.report(lambda r: rollout.upkeep(settings, contract, "restore", plan, r, done), as_json=json)


def prune(c: Any, environment: str, keep: int = 0, json: bool = False) -> None:
    """Remove old generations and releases of ENV that no rollback can need."""
    from deploy import lease
    from deploy.errors import Exit
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.wording import count, human

    settings, contract = common.open_environment(environment)
    kept = keep or settings.file.rollout.keep
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        with lease.hold(hosts, "prune") as held:
            answers = hosts.each(lambda name, agent: agent.call("prune", keep=kept, token=held.tokens[name]))
    removed = any(answer["generations"] or answer["releases"] for answer in answers.values())
    if json:
        common.say_json({"environment": environment, "hosts": answers})
    elif not removed:
        common.say(f"nothing to do: {environment} has at most {kept} generations to go back to")
    else:
        for name, answer in answers.items():
            gone = f"{count(len(answer['generations']), 'generation')}, {count(len(answer['releases']), 'release')}"
            common.say(f"{name}  {gone} removed, {human(answer['bytes'])} freed")
    common.leave(Exit.OK if removed else Exit.NOTHING_TO_DO)


restart.help = {"host": HOSTS_HELP, "yes": YES_HELP, "json": JSON_HELP, "wait": WAIT_HELP}  # type: ignore[attr-defined]
contract.help = {"yes": YES_HELP, "json": JSON_HELP}  # type: ignore[attr-defined]
migrate.help = {"yes": YES_HELP, "json": JSON_HELP}  # type: ignore[attr-defined]
drain.help = {"host": "which hosts, as web1 or web1,web2", "yes": YES_HELP, "json": JSON_HELP, "wait": WAIT_HELP}  # type: ignore[attr-defined]
restore.help = {"host": HOSTS_HELP, "json": JSON_HELP, "wait": WAIT_HELP}  # type: ignore[attr-defined]
prune.help = {  # type: ignore[attr-defined]
    "keep": "generations to keep besides what runs; by default [rollout] keep",
    "json": JSON_HELP,
}
