"""Tasks about backups of the database. What restores one is `fab restore:ENV --backup` (deploy/tasks/upkeep.py)."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def backup(c: Any, environment: str, json: bool = False, wait: str = "") -> None:
    """Back the database of ENV up, and prove the backup by restoring it into a scratch database."""
    from deploy import backups as kept
    from deploy import rollout
    from deploy.tasks import common
    from deploy.upkeep import plan_backup

    settings, contract = common.open_environment(environment)
    settings = settings.with_options(wait=wait, spare=True)
    kept.require(settings)
    done = "the database is backed up"
    common.report(lambda r: rollout.upkeep(settings, contract, "backup", plan_backup, r, done), as_json=json)


def backups(c: Any, environment: str, json: bool = False) -> None:
    """List the backups of ENV's database, newest first."""
    from deploy import backups as kept
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        found = kept.every(hosts)
    if json:
        common.say_json({"environment": environment, "backups": found})
        return
    rows = [["backup", "size", "rows", "migrated to", "why"], *(kept.row(entry) for entry in found)]
    nothing = f"there is no backup of {environment} -> fab backup:{environment}"
    common.say("\n".join(common.aligned(rows)) if found else nothing)


def restore(settings: Any, contract: Any, identifier: str, *, yes: bool, as_json: bool) -> None:
    """Bring the database of an environment back to a backup."""
    from deploy import backups as kept
    from deploy import rollout
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.upkeep import plan_load

    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        found = kept.chosen(hosts, identifier)
    question = f"go back to backup {found.identifier} of its database: what was written since is lost to users"
    common.confirm(settings, question, yes=yes, always=True)

    def plan(hosts: Any, target: Any, policy: Any) -> Any:
        return plan_load(hosts, target, policy, found)

    done = f"the database is that of backup {found.identifier}"
    common.report(lambda r: rollout.upkeep(settings, contract, "restore", plan, r, done), as_json=as_json)


backup.help = {"json": help_texts.JSON, "wait": help_texts.WAIT}  # type: ignore[attr-defined]
backups.help = {"json": help_texts.JSON}  # type: ignore[attr-defined]
