"""Fabric's tasks: each function of the table below, for each environment, as `fab deploy:staging`.

Modules of the operator's side are imported inside the tasks: `fab --list` and completion need none of them.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.tasks import Task

from deploy.tasks import logs, rollouts, run, setup, status, verify

ENVIRONMENTS = Path(__file__).parent.parent / "environments"

TASKS: tuple[Callable[..., Any], ...] = (
    setup.bootstrap,
    rollouts.plan,
    rollouts.deploy,
    rollouts.rollback,
    status.status,
    status.releases,
    logs.logs,
    verify.verify,
    run.run,
    setup.destroy,
)


def collection(environments: Path = ENVIRONMENTS) -> Collection:
    """Make `TASK:ENVIRONMENT` for every task and environment file."""
    namespace = Collection()
    namespace.configure({"tasks": {"auto_dash_names": False}})
    for path in sorted(environments.glob("*.toml")):
        for function in TASKS:
            namespace.add_task(_task(function, path.stem))
    return namespace


def help_for_typing(namespace: Collection) -> None:
    """List the tasks for `fab` alone; for a task of this form that does not exist, leave with the nearest name."""
    known = sorted(namespace.task_names)
    if len(sys.argv) == 1:
        sys.argv.append("--list")
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606  (invoke has read its arguments already)
    if sys.argv[1] in {name.partition(":")[0] for name in known}:
        complete = ", ".join(name for name in known if name.startswith(f"{sys.argv[1]}:"))
        print(f"slipway: {sys.argv[1]}: expected an environment\n  -> {complete}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    for word in sys.argv[1:]:
        if ":" in word and "/" not in word and not word.startswith("-") and word not in known:
            print(f"slipway: {_unknown(word, known)}", file=sys.stderr)  # noqa: T201
            raise SystemExit(2)
        if word == "--" or word.startswith("run:"):
            return


def _unknown(word: str, known: list[str]) -> str:
    import difflib

    task, _, environment = word.partition(":")
    tasks, environments = sorted({k.partition(":")[0] for k in known}), sorted({k.partition(":")[2] for k in known})
    message = f'unknown environment "{environment}"' if task in tasks else f'unknown task "{task}"'
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"{message}\n  -> did you mean {close[0]}?"
    return f"{message}\n  -> environments: {', '.join(environments)}; tasks: {', '.join(tasks)}"


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
    return Task(body, name=f"{function.__name__}:{environment}", help=getattr(function, "help", {}))
