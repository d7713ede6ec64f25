"""Salt's part: bring servers to their states, and show what the states are told."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts


def highstate(
    c: Any, environment: str, dry_run: bool = False, limit: str = "", force: bool = False, json: bool = False
) -> None:
    """Bring the servers of ENV to their states by Salt; --dry-run says what would change."""
    from contextlib import nullcontext

    from deploy.errors import Exit
    from deploy.highstate import run
    from deploy.highstate.report import Report
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    hosts = run.chosen(settings, limit)
    made_of = run.sources(settings, contract, hosts)
    report = Report(made_of.secrets.values(), (lambda text: None) if json else common.say, test=dry_run)
    with run.interruptible(settings, "highstate"):
        servers, errors = run.look_at(settings, contract, settings.hosts)
        run.require(settings, hosts, servers, errors)
        alone = nullcontext() if dry_run or force else run.alone(settings, contract, servers, "highstate")
        with alone, report.watching():
            outcome = run.apply(settings, made_of, hosts, report.tell, test=dry_run)
    fresh = [host for host in hosts if not servers[host].agent]
    if json:
        common.say_json({"environment": environment, "dry_run": dry_run, **report.as_json(outcome)})
    else:
        report.summary(outcome, fresh)
    if outcome.stopped:
        raise run.stopped(settings, "highstate")
    nothing = dry_run and outcome.exit == Exit.OK and not any(result.changed for result in outcome.results.values())
    common.leave(Exit.NOTHING_TO_DO if nothing else outcome.exit)


highstate.help = {  # type: ignore[attr-defined]
    "dry_run": "change nothing; show the differences (Salt's test=True)",
    "limit": "only these servers: web1,web2",
    "force": "go on though a rollout holds the lease",
    "json": help_texts.JSON,
}


def pillar(c: Any, environment: str, limit: str = "", write: str = "", json: bool = False) -> None:
    """Show what Salt is told of the hosts of ENV, secrets masked; --write gives a salt-master states and pillars."""
    from json import dumps
    from pathlib import Path

    from deploy import pillar as pillars
    from deploy.highstate import master, parcel, run
    from deploy.secret import masked
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    hosts = run.chosen(settings, limit)
    made_of = run.sources(settings, contract, hosts)
    made = {name: pillars.pillar(made_of, name) for name in hosts}
    if write:
        folder = Path(write).absolute()
        master.write(folder, parcel.states(contract), made)
        if json:
            common.say_json({"states": str(folder / "states"), "pillar": str(folder / "pillar")})
            return
        common.say(f"file_roots:   {{base: [{folder}/states]}}\npillar_roots: {{base: [{folder}/pillar]}}")
        return
    secrets = [secret for secret in made_of.secrets.values() if secret]
    common.say(masked(dumps(made, indent=None if json else 2, sort_keys=True), secrets))


pillar.help = {  # type: ignore[attr-defined]
    "limit": "only of these servers: web1,web2",
    "write": "a folder for a salt-master: states/ and pillar/, with the secrets' values, readable by you alone",
    "json": "one line",
}
