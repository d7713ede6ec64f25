"""Tasks that set an environment up and take it away."""

from __future__ import annotations

from typing import Any


def bootstrap(c: Any, environment: str, json: bool = False) -> None:
    """Set ENV up from nothing, or what is missing of it: directories, secrets, agents, load balancer."""
    from deploy import local
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    done: list[str] = []
    changed = local.bootstrap(settings, contract, done.append if json else common.say)
    if json:
        common.say_json({"environment": environment, "changed": changed, "done": done, "url": settings.url})
    elif changed:
        common.say(f"{environment} is set up -> fab deploy:{environment}")
    else:
        common.say(f"nothing to do: {environment} is set up and runs; {settings.url}")


def destroy(c: Any, environment: str, json: bool = False) -> None:
    """Stop everything of ENV and remove its directory, database and secrets included."""
    from deploy import local
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    done: list[str] = []
    changed = local.destroy(settings, contract, done.append if json else common.say)
    if json:
        common.say_json({"environment": environment, "changed": changed, "done": done})
    elif not changed:
        common.say(f"nothing to do: there is no environment {environment}")
