"""Examine an environment as a rollout would before it touches anything: what is fine, and what to type where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import deploy.artifacts.agent as zipapp
from deploy import fencing, resuming, schema, signatures
from deploy import variables as vars_
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.facts import Host
from deploy.hosts import Hosts, connect, status_of
from deploy.preflight import host_problems, server_problems
from deploy.wording import human


@dataclass(frozen=True)
class Finding:
    """What was found of one subject: a host, the load balancer, the lease."""

    subject: str
    fine: str = ""
    problems: tuple[str, ...] = ()


def examine(environment: Environment, contract: Contract, only: Sequence[str] = ()) -> list[Finding]:
    """Look at everything that can be looked at, or at `only` some hosts and what they share, and touch nothing.

    Raises: SlipwayError when the environment is not set up at all.
    """
    with connect(environment, contract.name) as hosts:
        hosts.only(only)
        hosts.require_bootstrap()
        observed, problem = hosts.look()
        build = zipapp.identity()
        found = [_host(environment, contract, host, build, balanced=problem is None) for host in observed]
        found += [_other(hosts, name, build) for name in hosts.balancers if name not in environment.app]
        found.append(_balancer(observed, problem))
        found += _unfinished(hosts, observed)
        found += [Finding("fenced", problems=(note,)) for note in fencing.notes(environment.name, observed)]
    found += _database(environment, observed)
    found.append(_lease(environment, observed))
    found.append(_variables(environment))
    return found


def _host(environment: Environment, contract: Contract, host: Host, build: str, *, balanced: bool) -> Finding:
    if host.problem:
        return _finding(host.name, "", [host.problem])
    python = "any" if environment.file.artifact == "image" else contract.python  # an image brings its own
    needs = {"platform": "any", "python": python, "interpreter": contract.interpreter}
    problems = [*host_problems([host], needs), *signatures.host_problems(environment, [host])]
    if environment.remote:
        problems += server_problems(environment, [host], build, balanced=balanced)
    serves = f"{'serves' if host.web else 'works on'} generation {host.current}" if host.working else "serves nothing"
    if host.current is not None and not host.working:
        what = " and ".join(name for name in host.runs if not host.up(name))
        problems.append(f"the {what} of generation {host.current} is not ready -> fab logs:{environment.name} says why")
    room = human(host.disk_free) if host.disk_free is not None else "?"
    fine = f"agent {host.agent}, Python {contract.python}, {room} free, clock {host.skew:+.1f} s, {serves}"
    return _finding(host.name, fine, problems)


def _other(hosts: Hosts, name: str, build: str) -> Finding:
    try:
        status = status_of(name, hosts.balancers[name])
    except SlipwayError as error:
        return _finding(name, "", [f"{error.message} -> {error.hint}" if error.hint else error.message])
    there, mend = status["agent"], f"-> fab highstate:{hosts.environment.name}"
    problems = [] if there == build else [f"releasectl is another version ({there}, not {build}) {mend}"]
    return _finding(name, f"agent {there}, clock {status['skew']:+.1f} s", problems)


def _balancer(observed: Sequence[Host], problem: SlipwayError | None) -> Finding:
    if problem:
        return _finding("balancer", "", [f"{problem.message} -> {problem.hint}" if problem.hint else problem.message])
    said = [f"{h.name} {h.server.place}" for h in observed if h.server]
    return Finding("balancer", f"answers: {'; '.join(said) or 'no servers'}")


def _database(environment: Environment, observed: Sequence[Host]) -> list[Finding]:
    """Tell of the database what the hosts show: who is ready has reached it, and generations say what it has."""
    applied = schema.applied(observed)
    known = [r for h in observed for release in h.releases for r in release.migrations if r in applied]
    if not known:
        return []
    reached = [host.name for host in observed if host.serving]
    revision = max(known, key=known.index)
    if reached:
        return [Finding("database", f"reached by {', '.join(reached)}; at revision {revision}")]
    mend = f"fab logs:{environment.name} says why"
    return [
        _finding("database", "", [f"no host is ready, so it may be out of reach; was at revision {revision} -> {mend}"])
    ]


def _lease(environment: Environment, observed: Sequence[Host]) -> Finding:
    holders = sorted({host.deployer for host in observed if host.deployer})
    if holders:
        return Finding("lease", problems=(f"held by {'; '.join(holders)} -> wait, or fab unlock:{environment.name}",))
    return Finding("lease", "free")


def _unfinished(hosts: Hosts, observed: Sequence[Host]) -> list[Finding]:
    """Find the rollout that was killed; one whose deployer lives shows as the lease."""
    if any(host.deployer for host in observed):
        return []
    try:
        left = resuming.find(hosts)
    except SlipwayError:  # no host answers: that is found already
        return []
    if left and resuming.is_done(left.past, observed):
        return []
    name = hosts.environment.name
    said = f"{left.text} never ended -> fab resume:{name} goes on, fab abort:{name} goes back" if left else ""
    return [Finding("rollout", problems=(said,))] if left else []


def _variables(environment: Environment) -> Finding:
    try:
        wanted = vars_.wanted(environment)
    except SlipwayError as error:
        return Finding("variables", problems=tuple(f"{p} -> {error.hint}" if error.hint else p for p in error.problems))
    return Finding("variables", f"{len(wanted.plain)} plain, {len(wanted.secret)} secret")


def _finding(subject: str, fine: str, problems: Sequence[str]) -> Finding:
    return Finding(subject, fine, tuple(problem.removeprefix(f"{subject}: ") for problem in problems))
