"""From empty servers to an environment that waits for its first deploy; and new servers into one that runs.

Everything here looks first and does what is left, so that the same command goes on after whatever interrupted it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import artifacts, rollout, secrets_made
from deploy.artifacts import ReleaseTree
from deploy.contract import Contract
from deploy.environment import ROOT, Environment
from deploy.environment_model import PROCESS_ROLES
from deploy.errors import Exit, SlipwayError
from deploy.facts import Host
from deploy.generations import running_generation
from deploy.highstate import bundle, look, operators, prepare, run
from deploy.highstate.look import Server
from deploy.highstate.report import Report
from deploy.hosts import Hosts, connect
from deploy.report import Reporter

Say = Callable[[str], None]


class BootstrapError(SlipwayError):
    """Servers can't be set up."""

    exit_code = Exit.FAILED_UNCHANGED


@dataclass
class Done:
    """What a bootstrap did."""

    seconds: dict[str, float] = field(default_factory=dict)  # of each phase
    secrets: list[str] = field(default_factory=list)  # that were made
    hosts: list[dict[str, Any]] = field(default_factory=list)  # the states of each server
    changed: bool = False
    deployed: bool = False  # a generation serves
    exit: Exit = Exit.OK


@dataclass
class Bootstrap:
    """One bootstrap of an environment of servers."""

    environment: Environment
    contract: Contract
    say: Say
    done: Done = field(default_factory=Done)

    def run(self, hosts: Sequence[str], reporter: Callable[[], Reporter], dist: Path = ROOT / "dist") -> Done:
        """Do all of it, phase by phase; `reporter` tells of a rollout, if one is needed.

        Raises: SlipwayError where a person has to do something first.
        """
        with run.interruptible(self.environment, "bootstrap"):
            return self._run(hosts, reporter, dist)

    def _run(self, hosts: Sequence[str], reporter: Callable[[], Reporter], dist: Path) -> Done:
        hosts, told = [*hosts, *have_to_know(self.environment, hosts)], len(hosts)
        with self._phase("reach") as said:
            servers = self._look(hosts)
            others = f", and {', '.join(hosts[told:])}, which have to know of it" if hosts[told:] else ""
            said(f"{told} server{'s' * (told != 1)}{others}")
        with self._phase("prepare") as said:
            if self._prepare({host: servers[host] for host in hosts}, said):
                servers |= self._look(hosts)
        with self._phase("secrets") as said:
            self.done.secrets = secrets_made.generate_missing(self.environment)
            said(f"made: {', '.join(self.done.secrets)}" if self.done.secrets else "all there")
        with self._phase("salt") as said:
            salt = bundle.build(self.contract)
            said(f"{salt.version}, {'packed' if salt.built else 'packed before'}")
        with self._phase("states") as said, run.alone(self.environment, self.contract, servers, "bootstrap"):
            if not self._states(hosts, servers, said):
                return self.done
        with connect(self.environment, self.contract.name) as connected:
            with self._phase("agents") as said:
                said(self._agents(connected, hosts))
            with self._phase("generation") as said:
                release = self._release(connected, said, dist)
        if release is not None:
            self._converge(release, reporter)
        return self.done

    @contextmanager
    def _phase(self, name: str) -> Iterator[Say]:
        """Take a phase's time; what it says comes with that on one line when it is done."""
        started, words = time.monotonic(), list[str]()
        yield words.append
        self.done.seconds[name] = round(time.monotonic() - started, 2)
        self.say(f"{name:<10} {self.done.seconds[name]:6.1f} s  {', '.join(words)}".rstrip())

    def _look(self, hosts: Sequence[str]) -> dict[str, Server]:
        """Look at every server; only those that are meant have to be there."""
        operators.keys(self.environment)
        servers, errors = run.look_at(self.environment, self.contract, self.environment.hosts)
        problems = [f"{e.message} -> {e.hint}" if e.hint else e.message for h, e in errors.items() if h in hosts]
        problems += [problem for h, server in servers.items() if h in hosts for problem in look.problems(server)]
        if problems:
            raise BootstrapError(
                f"{self.environment.name}: not every server can be worked with; nothing was touched",
                problems=tuple(problems),
            )
        return servers

    def _prepare(self, servers: Mapping[str, Server], said: Say) -> bool:
        prepared, errors = prepare.prepare(self.environment, self.contract, servers)
        if errors:
            problems = [line for error in errors.values() for line in error.report().splitlines()]
            raise BootstrapError(
                f"{self.environment.name}: not every server could be prepared", problems=tuple(problems)
            )
        said(f"{prepare.package(self.contract)} on {', '.join(prepared)}" if prepared else "nothing to do")
        return bool(prepared)

    def _states(self, hosts: Sequence[str], servers: Mapping[str, Server], said: Say) -> bool:
        made_of = run.sources(self.environment, self.contract, hosts)
        report = Report(made_of.secrets.values(), self.say, test=False)
        with report.watching():
            outcome = run.apply(self.environment, made_of, hosts, report.tell, test=False)
        report.summary(outcome, [host for host in hosts if not servers[host].agent])
        if outcome.stopped:
            raise run.stopped(self.environment, "bootstrap")
        self.done.hosts = report.as_json(outcome)["hosts"]
        self.done.changed = any(result.changed for result in outcome.results.values())
        self.done.exit = outcome.exit
        bad = [*outcome.errors, *(host for host, result in outcome.results.items() if not result.good)]
        said(f"failed on {', '.join(bad)}" if bad else f"good on {', '.join(hosts)}")
        return not bad

    def _agents(self, connected: Hosts, hosts: Sequence[str]) -> str:
        """Ask each server's agent, as a rollout will: by the user who may call nothing else."""
        agents = {host: connected.agent(host) for host in hosts}
        try:
            answers = connected.each(lambda host, agent: agent.call("status"), agents)
        finally:
            for agent in agents.values():
                agent.close()
        return f"{len(answers)} answer as {self.environment.file.ssh.user}"

    def _release(self, connected: Hosts, said: Say, dist: Path) -> ReleaseTree | None:
        """Find the release that new servers lack, if one serves elsewhere."""
        observed, problem = connected.look()
        known = [host for host in observed if not host.problem]
        current, version = running_generation(known), _version(known)
        self.done.deployed = current is not None
        behind = [host.name for host in known if host.current is None]
        if current is None or version is None or not behind:
            said(f"{current} ({version}) everywhere" if current is not None else "none yet")
            return None
        if problem or len({host.current for host in known} - {None}) != 1:
            said(f"{', '.join(behind)} without one, and the others differ -> fab status:{self.environment.name}")
            return None
        said(f"{current} ({version}) is missing on {', '.join(behind)}")
        return _find(dist, version, behind, self.environment)

    def _converge(self, release: ReleaseTree, reporter: Callable[[], Reporter]) -> None:
        """Bring new servers to the generation that serves, by the planner of every rollout.

        When that would be a new generation for everybody, it is for a person to decide.
        """
        plan = rollout.preview(self.environment, self.contract, release)
        with connect(self.environment, self.contract.name) as connected:
            current = running_generation(connected.look()[0])
        if plan.target.generation != current:
            self.say(
                f"{self.environment.path} or the release has changed since generation {current}: new servers wait for "
                f"the next one -> fab deploy:{self.environment.name}"
            )
            return
        tell = reporter()
        try:
            with connect(self.environment, self.contract.name) as connected:
                outcome = rollout.deploy(connected, self.contract, release, tell)
        finally:
            tell.close()
        tell.outcome(outcome)
        self.done.exit = Exit.OK if outcome.exit == Exit.NOTHING_TO_DO else outcome.exit


def have_to_know(environment: Environment, hosts: Sequence[str]) -> list[str]:
    """Name the other servers that a new one needs: those that let it in, and those that send it users."""
    asks = {name for name in hosts if environment.hosts[name].roles & {*PROCESS_ROLES}}
    answer = {*environment.having("lb"), *environment.having("db")} if asks else set()
    return [name for name in environment.hosts if name in answer and name not in hosts]


def _version(hosts: Sequence[Host]) -> str | None:
    """Name the version that serves."""
    current = running_generation(hosts)
    found = (host.generation(current) for host in hosts if host.current == current)
    return next((generation.version for generation in found if generation), None)


def _find(dist: Path, version: str, behind: Sequence[str], environment: Environment) -> ReleaseTree:
    try:
        return artifacts.find_release(dist, version)
    except SlipwayError as error:
        _, _, commit = version.partition("+g")
        commit = commit.partition(".")[0]
        built = f".venv/bin/python -m deploy.artifacts release --ref {commit}, then " if commit else ""
        raise BootstrapError(
            f"{', '.join(behind)}: set up, and without the release that serves: {error.message}",
            hint=f"{built}fab bootstrap:{environment.name} again; or fab deploy:{environment.name} with a newer one",
        ) from None
