"""What an environment runs: `status`, and what it could go back to: `releases`."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def status(c: Any, environment: str, limit: str = "", json: bool = False) -> None:
    """Show what ENV runs: each host's generation, version, health and place at the load balancer."""
    from dataclasses import asdict

    from deploy import alone
    from deploy.drift import drift
    from deploy.fencing import notes
    from deploy.history import on_purpose
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        common.only(hosts, limit)
        hosts.require_bootstrap()
        observed, error = hosts.look()  # without the load balancer the hosts are worth a look all the same
        lately = _lately(hosts)
        left = _unfinished(hosts, observed, lately)
        meant = on_purpose(lately) if len({h.current for h in observed if not h.problem}) > 1 else None
        closed = error is None and hosts.balancer.is_closed()
    differs, lonely = drift(observed, _wanted(settings)), [*alone.notes(observed, contract.processes)]
    problem = f"{error.message} -> {error.hint}" if error else ""
    if json:
        listed = [
            {
                **asdict(h),
                "serving": h.serving,
                "working": h.working,
                "generations": [common.without_digest(asdict(g)) for g in h.generations],
            }
            for h in observed
        ]
        said = {"url": settings.url, "problem": problem, "closed": closed, "unfinished": left, "drift": differs}
        said |= {"alone": lonely, "last": asdict(lately[0]) if lately else None}
        said |= {"on_purpose": asdict(meant) if meant else None}
        common.say_json({"environment": environment, **said, "hosts": listed})
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
                common.ago(process.since) if process else "-",
                _health(host),
                host.server.place if host.server else "-",
                str(host.server.sessions) if host.server else "-",
            ]
        )
    common.say("\n".join(common.aligned(rows)))
    for who in sorted({h.deployer for h in observed if h.deployer}):
        common.say(f"a rollout is under way: {who}")
    for text in filter(None, [*(h.problem for h in observed), problem, *notes(environment, observed), *lonely]):
        common.say(text)
    if lately:
        common.say(f"last: {lately[0].summary}, {common.ago(lately[0].begun)}")
    for text in differs:
        common.say(f"drift: {text}")
    if closed:
        common.say(f"users get the maintenance page -> fab maintenance:{environment} off")
    if left:
        common.say(f"unfinished: {left} -> fab resume:{environment} goes on, fab abort:{environment} goes back")
    elif not problem:
        common.say(_verdict(environment, settings.url, observed, differs, meant, limit))


def _wanted(settings: Any) -> str | None:
    """Give the digest of the wanted variables; None where they can't be put together, as without the secrets."""
    from deploy import variables
    from deploy.errors import SlipwayError

    try:
        return str(variables.wanted(settings).digest)
    except SlipwayError:
        return None


def _lately(hosts: Any) -> list[Any]:
    """Read the last rollouts; none when no host answers, which is said already."""
    from deploy import ledgers
    from deploy.errors import SlipwayError

    try:
        return ledgers.recent(hosts)
    except SlipwayError:
        return []


def _unfinished(hosts: Any, observed: list[Any], lately: list[Any]) -> str:
    """Say which rollout was killed; one whose deployer lives is under way."""
    from deploy import resuming

    if any(h.deployer for h in observed):
        return ""
    found = resuming.find(hosts, lately)
    return found.text if found and not resuming.is_done(found.past, observed) else ""


def releases(c: Any, environment: str, limit: str = "", json: bool = False) -> None:
    """List the generations that ENV has, newest first: what runs, and what can be gone back to."""
    from dataclasses import asdict

    from deploy.generations import rollback_candidates, running_generation
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        common.only(hosts, limit)
        observed = hosts.observe()
    running, back = running_generation(observed), {g.number for g in rollback_candidates(observed)}
    every = {g.number: g for host in observed for g in host.generations}
    if json:
        listed = [
            {**asdict(g), "runs": n == running, "can_go_back": n in back}
            for n, g in sorted(every.items(), reverse=True)
        ]
        common.say_json({"environment": environment, "generations": [common.without_digest(e) for e in listed]})
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
        rows.append([str(number), generation.version, common.ago(generation.created), state, " ".join(where)])
    common.say(
        "\n".join(common.aligned(rows)) if every else f"{environment} has no release yet -> fab deploy:{environment}"
    )


def _health(host: Any) -> str:
    """Say how what a host is there for is doing."""
    if host.problem:
        return "unknown"
    if host.working:
        return "ready"
    if not any(p.generation == host.current for p in host.processes):
        return "not running"
    lacking = [name for name in host.runs if not host.up(name)]
    return f"{' and '.join(lacking)} not ready" if len(host.runs) > 1 else "not ready"


def _verdict(environment: str, url: str, observed: list[Any], differs: list[str], meant: Any, limit: str) -> str:
    running = {h.current for h in observed}
    out = [h.name for h in observed if not h.on_duty]
    drained = [h.name for h in observed if h.serving and h.server and h.server.admin != "ready"]
    if running == {None}:
        return f"nothing is deployed yet -> fab deploy:{environment}"
    if out and out == drained and len(running) == 1:
        return f"taken out of service: {', '.join(out)} -> fab restore:{environment} puts them back"
    if meant and not out:
        return f"hosts differ on purpose: {meant.summary} -> fab deploy:{environment} brings all to one"
    if out or len(running) > 1:
        why = f"not in service: {', '.join(out)}" if out else "hosts run different generations"
        return f"{why} -> fab deploy:{environment} puts it right"
    return f"{limit or 'all'} in service at {url}" + (
        f" -> fab deploy:{environment} mends the drift" if differs else ""
    )


status.help = {"limit": help_texts.LIMIT, "json": help_texts.JSON}  # type: ignore[attr-defined]
releases.help = {"limit": help_texts.LIMIT, "json": help_texts.JSON}  # type: ignore[attr-defined]
