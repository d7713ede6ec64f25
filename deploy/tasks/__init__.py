"""Fabric's tasks: each function of the table below, for each environment, as `fab deploy:staging`.

Modules of the operator's side are imported inside the tasks: `fab --list` and completion need none of them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.tasks import Task

from deploy.tasks import (
    adopt,
    databases,
    fleet,
    locks,
    logs,
    look,
    maintenance,
    rollouts,
    run,
    salt,
    secrets,
    setup,
    status,
    upkeep,
    verify,
)

ENVIRONMENTS = Path(__file__).parent.parent / "environments"

# What `fab` offers for each environment, by what one wants to do. `fab --list` shows it in this order.
GROUPS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Roll out": (rollouts.plan, rollouts.deploy, rollouts.rollback, rollouts.resume, rollouts.abort),
    "Look": (status.status, status.releases, look.history, logs.logs, verify.verify, look.doctor),
    "Act on it": (
        run.run,
        run.shell,
        databases.backup,
        databases.backups,
        upkeep.migrate,
        upkeep.contract,
        upkeep.restart,
        upkeep.drain,
        upkeep.restore,
        maintenance.maintenance,
        upkeep.prune,
        locks.lock,
        locks.unlock,
    ),
    "Set up, take away": (setup.bootstrap, salt.highstate, salt.pillar, secrets.secrets, setup.destroy),
}
TASKS: tuple[Callable[..., Any], ...] = tuple(function for group in GROUPS.values() for function in group)


def collection(environments: Path = ENVIRONMENTS) -> Collection:
    """Make `TASK:ENVIRONMENT` for every task and environment file."""
    namespace = Collection()
    namespace.configure({"tasks": {"auto_dash_names": False}})
    for path in sorted(environments.glob("*.toml")):
        for function in TASKS:
            namespace.add_task(_task(function, path.stem))
    for function in adopt.TASKS:
        namespace.add_task(_plain_task(function, getattr(function, "help", {})))
    machines = Collection("fleet", auto_dash_names=False)
    for function in fleet.TASKS:
        machines.add_task(_fleet_task(function))
    namespace.add_collection(machines)
    return namespace


class Explained(Task):  # type: ignore[type-arg]
    """A task that can say what its options mean each time it is asked: Invoke's own knows it only the first time."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> Any:
        """Give the options, and keep what they mean."""
        texts = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = texts


def _fleet_task(function: Callable[..., Any]) -> Task[Any]:
    """Make a task for machines: those that it is about are its words, everything else options."""
    return _plain_task(function, fleet.help_of(function))


def _plain_task(function: Callable[..., Any], texts: dict[str, str]) -> Task[Any]:
    """Make a task of no environment."""

    @functools.wraps(function)
    def body(*args: Any, **options: Any) -> Any:
        from deploy.tasks.common import leave_on_error

        with leave_on_error():
            return function(*args, **options)

    required = [name for name, p in inspect.signature(function).parameters.items() if p.default is p.empty][1:]
    return Explained(body, name=function.__name__, help=texts, positional=required)


def _task(function: Callable[..., Any], environment: str) -> Task[Any]:
    """Bind a task's `environment` and leave its other parameters as options."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def body(*args: Any, **options: Any) -> Any:
        from deploy.tasks.common import leave_on_error

        with leave_on_error():
            return function(*args, environment=environment, **options)

    parameters = [p for name, p in signature.parameters.items() if name != "environment"]
    body.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    body.__doc__ = (function.__doc__ or "").replace("ENV", environment)
    given = [name for name in ("wait",) if name in signature.parameters]  # options that may have no value
    return Explained(
        body, name=f"{function.__name__}:{environment}", help=getattr(function, "help", {}), optional=given
    )
