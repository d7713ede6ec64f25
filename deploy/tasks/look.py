"""Tasks that look at an environment, and run one command in it."""

from __future__ import annotations

import time
from typing import Any


def status(c: Any, environment: str, json: bool = False) -> None:
    """Show what ENV runs: each host's generation, version, health and place at the load balancer."""
    import json as encoder
    from dataclasses import asdict

    from deploy.errors import SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    problem = ""
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        try:
            servers = hosts.balancer.servers()
        except SlipwayError as error:  # the hosts are worth a look all the same
            servers, problem = {}, f"{error.message} -> fab bootstrap:{environment} starts it"
        observed = hosts.look(servers)
    if json:
        listed = [
            {**asdict(h), "serving": h.serving, "generations": [_without_digest(asdict(g)) for g in h.generations]}
            for h in observed
        ]
        common.say(
            encoder.dumps({"environment": environment, "url": settings.url, "problem": problem, "hosts": listed})
        )
        return
    rows = [["host", "generation", "version", "since", "health", "balancer", "sessions"]]
    for host in observed:
        running = host.generation(host.current)
        process = next((p for p in host.processes if p.generation == host.current), None)
        rows.append(
            [
                host.name,
                str(host.current or "-"),
                running.version if running else "-",
                _ago(process.since) if process else "-",
                "unknown" if host.problem else "ready" if host.serving else "not ready" if process else "not running",
                f"{host.server.admin}, {'up' if host.server.up else 'down'}" if host.server else "-",
                str(host.server.sessions) if host.server else "-",
            ]
        )
    common.say("\n".join(common.aligned(rows)))
    for who in sorted({h.deployer for h in observed if h.deployer}):
        common.say(f"a rollout is under way: {who}")
    for text in filter(None, [*(h.problem for h in observed), problem]):
        common.say(text)
    if not problem:
        common.say(_verdict(environment, settings.url, observed))


def releases(c: Any, environment: str, json: bool = False) -> None:
    """List the generations that ENV has, newest first: what runs, and what can be gone back to."""
    import json as encoder
    from dataclasses import asdict

    from deploy.hosts import connect
    from deploy.plan import rollback_candidates, running_generation
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        observed = hosts.observe()
    running, back = running_generation(observed), {g.number for g in rollback_candidates(observed)}
    every = {g.number: g for host in observed for g in host.generations}
    if json:
        listed = [
            {**asdict(g), "runs": n == running, "can_go_back": n in back}
            for n, g in sorted(every.items(), reverse=True)
        ]
        common.say(encoder.dumps({"environment": environment, "generations": [_without_digest(e) for e in listed]}))
        return
    rows = [["generation", "version", "made", "", "on"]]
    for number, generation in sorted(every.items(), reverse=True):
        where = [h.name for h in observed if h.generation(number)]
        state = (
            "runs"
            if number == running
            else "can go back"
            if number in back
            else "never ready"
            if not generation.activated
            else ""
        )
        rows.append([str(number), generation.version, _ago(generation.created), state, " ".join(where)])
    common.say(
        "\n".join(common.aligned(rows)) if every else f"{environment} has no release yet -> fab deploy:{environment}"
    )


def logs(c: Any, environment: str, lines: int = 20, follow: bool = False, host: str = "") -> None:
    """Print the last log lines of the hosts of ENV; with --follow, go on until Ctrl-C."""
    import threading

    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    lock = threading.Lock()
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        _only(hosts, host)

        def show(name: str, event: Any) -> None:
            with lock:
                common.say(f"{name}  {event['text']}")

        hosts.each(
            lambda name, agent: agent.request(
                "logs",
                {"lines": lines, "generation": None, "follow": follow},
                silence=None if follow else 60.0,
                on_event=lambda event: show(name, event),
            )
        )


def verify(c: Any, environment: str, json: bool = False) -> None:
    """Read every byte of every release of ENV and compare it with its manifest."""
    import json as encoder

    from deploy.errors import Exit, SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.wording import count

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        answers = hosts.each(lambda name, agent: agent.request("verify", {"version": None}, silence=600.0))
    found = {name: answer["releases"] for name, answer in answers.items()}
    problems = [
        f"{name}: {release['version']}: {p['path']}: expected {p['expected']}, got {p['got']}"
        for name, checked in found.items()
        for release in checked
        for p in release["problems"]
    ]
    if json:
        common.say(encoder.dumps({"environment": environment, "hosts": found}))
    else:
        for name, checked in found.items():
            for release in checked:
                state = f"{len(release['problems'])} wrong" if release["problems"] else "as built"
                common.say(
                    f"{name}  {release['version']}  {release['digest'][:12]}  {release['files']:,} files  {state}"
                )
    if problems:
        raise SlipwayError(
            f"{environment}: {count(len(problems), 'file')} not as in the manifest",
            problems=tuple(problems[:20]),
            hint=f"fab deploy:{environment} repairs the release it deploys",
            exit_code=Exit.MIXED,
        )


def run(c: Any, environment: str, command: str, host: str = "") -> None:
    """Run one command of the application in ENV, in the current generation: fab run:ENV "db current"."""
    import shlex
    import sys

    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        _only(hosts, host or next(iter(hosts.agents)))
        agent = next(iter(hosts.agents.values()))

        def show(event: Any) -> None:
            stream = sys.stderr if event["stream"] == "stderr" else sys.stdout
            stream.write(event["text"])
            stream.flush()

        argv = ["-m", contract.app.partition(".")[0], *shlex.split(command)]
        answer = agent.request("run", {"argv": argv, "generation": None, "timeout": None}, silence=None, on_event=show)
    common.leave(answer["returncode"])


run.help = {"command": "arguments of the application's own command line", "host": "which host; by default the first"}  # type: ignore[attr-defined]
logs.help = {"lines": "how many of each host", "follow": "go on until Ctrl-C", "host": "only this host"}  # type: ignore[attr-defined]


def _only(hosts: Any, host: str) -> None:
    from deploy.errors import SlipwayError
    from deploy.toml_model import nearest

    if host and host not in hosts.agents:
        raise SlipwayError(
            f'unknown host "{host}"{nearest(host, list(hosts.agents))}', hint=f"hosts: {', '.join(hosts.agents)}"
        )
    if host:
        hosts.agents = {host: hosts.agents[host]}


def _verdict(environment: str, url: str, observed: list[Any]) -> str:
    running = {h.current for h in observed}
    out = [h.name for h in observed if not h.in_service]
    if running == {None}:
        return f"nothing is deployed yet -> fab deploy:{environment}"
    if out or len(running) > 1:
        why = f"not in service: {', '.join(out)}" if out else "hosts run different generations"
        return f"{why} -> fab deploy:{environment} puts it right"
    return f"all in service at {url}"


def _without_digest(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out what identifies the variables: it is compared, never shown."""
    return {key: value for key, value in entry.items() if key != "env_digest"}


def _ago(then: float | None) -> str:
    if then is None:
        return "-"
    seconds = max(0, int(time.time() - then))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
