"""Tasks that set an environment up and take it away."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def bootstrap(c: Any, environment: str, limit: str = "", json: bool = False) -> None:
    """Set ENV up from nothing, or what is missing of it: servers by Salt, secrets, agents, load balancer."""
    from deploy import local
    from deploy.errors import SlipwayError
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    if settings.remote:
        _bootstrap_servers(settings, contract, limit, json)
        return
    if limit:
        raise SlipwayError(f"--limit: {environment} has no servers", hint=f"fab bootstrap:{environment}")
    done: list[str] = []
    changed = local.bootstrap(settings, contract, done.append if json else common.say)
    if json:
        common.say_json({"environment": environment, "changed": changed, "done": done, "url": settings.url})
    elif changed:
        common.say(f"{environment} is set up -> fab deploy:{environment}")
    else:
        common.say(f"nothing to do: {environment} is set up and runs; {settings.url}")


bootstrap.help = {  # type: ignore[attr-defined]
    "limit": "only these servers: web4",
    "json": help_texts.JSON,
}


def _bootstrap_servers(settings: Any, contract: Any, limit: str, json: bool) -> None:
    import io

    from deploy.bootstrap import Bootstrap
    from deploy.highstate import run
    from deploy.report import PlainReporter, reporter
    from deploy.tasks import common

    hosts = run.chosen(settings, limit)
    silent = PlainReporter(io.StringIO())
    work = Bootstrap(settings, contract, (lambda text: None) if json else common.say)
    done = work.run(hosts, lambda: silent if json else reporter(as_json=False))
    if json:
        facts = {"changed": done.changed, "secrets": done.secrets, "seconds": done.seconds, "hosts": done.hosts}
        common.say_json({"environment": settings.name, "exit": int(done.exit), **facts, "url": settings.url})
    elif not done.exit:
        state = "is set up" if done.changed else "was set up already"
        total = f"{sum(done.seconds.values()):.1f} s"
        common.say(
            f"{settings.name} {state}, {total}; {settings.url}"
            if done.deployed
            else f"{settings.name} {state}, {total} -> fab deploy:{settings.name}"
        )
    else:
        common.say(f"{settings.name} is not set up yet; mend what failed -> fab bootstrap:{settings.name} goes on")
    common.leave(done.exit)


def destroy(c: Any, environment: str, json: bool = False) -> None:
    """Stop everything of ENV and remove its directory, database and secrets included."""
    from deploy import local
    from deploy.errors import SlipwayError
    from deploy.ssh import MACHINES
    from deploy.tasks import common, fleet

    settings, contract = common.open_environment(environment)
    if settings.remote:
        if settings.file.ssh.config != MACHINES:
            raise SlipwayError(f"{environment}: servers are not ours to remove; expected one of this computer")
        fleet.down(c, json)
        return
    done: list[str] = []
    changed = local.destroy(settings, contract, done.append if json else common.say)
    if json:
        common.say_json({"environment": environment, "changed": changed, "done": done})
    elif not changed:
        common.say(f"nothing to do: there is no environment {environment}")


destroy.help = {"json": help_texts.JSON}  # type: ignore[attr-defined]
