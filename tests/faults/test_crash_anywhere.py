"""SIGKILL of the deployer, of an agent, or of both, at every effect of a rollout; then each of three commands.

The points are those that a trace of one rollout has: before and after each request of the deployer, before each
effect of an agent, at the beginning and at the end of each verb. `SLIPWAY_THOROUGH=1` goes through all points three
times, with another command each; else neighbours, whose states hardly differ, get the three in turn.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import holds
from deploy.agent.layout import Layout
from tests.faults.light import LightSite, light_site
from tests.faults.table import CASES
from tests.local.conftest import HOSTS, Result, processes_in

THOROUGH = bool(os.environ.get("SLIPWAY_THOROUGH"))
COMMANDS = ("deploy", "resume", "abort")
SITES = 2  # side by side: a rollout waits for a third of its time
PATIENCE = 120.0  # seconds: for what has to come, however slow the machine


@dataclass(frozen=True)
class Point:
    """Where somebody dies, who, and what is typed then."""

    at: str
    both: bool  # the agent, and the deployer with it
    command: str

    def __str__(self) -> str:
        """Name it as a person finds it."""
        return f"{self.at}{' with its deployer' if self.both else ''}, then {self.command}"


def enumerated(site: LightSite, path: Path) -> list[str]:
    """Trace one rollout."""
    with site.trap(trace=str(path)):
        site.fab("deploy:local", "--version", site.release(), trap={"trace": str(path)})
    return list(dict.fromkeys(path.read_text().splitlines()))


def points(traced: Sequence[str]) -> list[Point]:
    """Decide who dies where: the deployer at its own, at an agent's either the agent alone or both."""
    found = []
    for number, at in enumerate(traced):
        alone = at.startswith("operator ")
        for both in (False,) if alone else (False, True):
            for turn, command in enumerate(COMMANDS):
                mine = number % 3 == turn and (alone or both == (number // 3 % 2 == 0))
                if THOROUGH or mine:
                    found.append(Point(at, both, command))
    return found


def eventually(check: Callable[[], Any], what: str) -> Any:
    """Wait for something that has to come."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


def sessions(site: LightSite) -> list[int]:
    """Find the agents that have not heard yet that nobody is there any more."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, name = (process / "cmdline").read_bytes().split(b"\0"), (process / "comm").read_text()
            started = b"session" in words and any(word.startswith(os.fsencode(site.directory)) for word in words)
            if started or (name == "session\n" and (process / "cwd").readlink() == site.site.path):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@dataclass
class Crash:
    """One crash, and all that is looked at afterwards."""

    site: LightSite
    point: Point
    before: dict[str, tuple[int, int | None, str]]
    version: str

    def happens(self) -> Result:
        """Roll out, and let somebody die."""
        trap = {"at": self.point.at} if self.point.at.startswith("operator ") else None
        with self.site.trap(at=self.point.at, both=self.point.both):
            done = self.site.fab("deploy:local", "--version", self.version, expect=None, trap=trap)
        eventually(lambda: not sessions(self.site), f"{self.point}: an agent stays though nobody asks it anything")
        return done

    def status_tells_the_truth(self, done: Result) -> None:
        """Compare with what we see for ourselves; servers may be on their way back."""

        def agrees() -> bool:
            truth = self.site.truth()
            said = json.loads(self.site.fab("status:local", "--json").out)
            if self.site.truth() != truth:
                return False
            told = {h["name"]: (h["current"], h["serving"], h["server"]["admin"]) for h in said["hosts"]}
            seen = {n: (current, who == current or None, admin) for n, (current, who, admin) in truth.items()}
            mixed = len({current for current, _, _ in truth.values()}) > 1
            return told == {n: (c, bool(w), a) for n, (c, w, a) in seen.items()} and (
                not mixed or bool(said["unfinished"]) or done.code == 30
            )

        eventually(agrees, f"{self.point}: status does not tell the truth\n{done.out}\n{done.err}")

    def what_it_said_is_so(self, done: Result) -> None:
        """A deployer that outlived its agent says how it ended."""
        running = {current for current, _, _ in self.site.truth().values()}
        old = {current for current, _, _ in self.before.values()}
        if done.code in (2, 20, 21):  # 2: before anything was touched
            assert running == old, f"{self.point}: exit {done.code}, and {running} runs\n{done.out}\n{done.err}"
        if done.code == 0:
            assert running != old
            assert len(running) == 1
        assert done.code in (0, 2, 20, 21, 30, -9), f"{self.point}: exit {done.code}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err, f"{self.point}\n{done.err}"

    def is_put_right(self) -> str:
        """Type the command; say which generation shall run then, the old one or the new one."""
        command, where = self.point.command, str(self.point)
        if command != "deploy":
            typed = self.site.fab(f"{command}:local", expect=None)
            if typed.code == 0:
                again = self.site.fab(f"{command}:local", expect=None)
                assert again.code == 10, f"{where}: again\n{again.out}\n{again.err}"
                return "old" if command == "abort" else "new"
            nothing = typed.code == 10 or (typed.code == 2 and "none of it was staged" in typed.err)
            assert nothing, f"{command} {where}: exit {typed.code}\n{typed.out}\n{typed.err}"
        typed = self.site.fab("deploy:local", "--version", self.version, expect=None)
        assert typed.code in (0, 10), f"{where}: exit {typed.code}\n{typed.out}\n{typed.err}"
        return "new"

    def all_is_clean(self, expected: str) -> None:
        """Every host in service with one generation; no lease, no hold, nothing half-made, no process too many."""
        site, where = self.site, str(self.point)
        observed = site.site.status()
        currents = {host.current for host in observed.values()}
        old = {current for current, _, _ in self.before.values()}
        assert (currents == old) if expected == "old" else (len(currents) == 1 and currents != old), (
            f"{where}: {old} -> {currents}"
        )
        for name, host in observed.items():
            at = f"{name} {where}"
            assert host.in_service, f"{at}: {host}"
            assert [process.generation for process in host.processes] == [host.current], f"{at}: {host.processes}"
            assert not host.deployer, f"{at}: {host.deployer}"
            root = site.site.root(name)
            # What is left of a trial whose deployer was killed goes with the next trial or switch on the host.
            left = {path.stem for path in (root / "run").glob("trial-*")}
            assert len(left) <= 1, f"{at}: {left}"
            # So does what a killed agent was building aside: the next writing verb on that host sweeps it away.
            aside = [path.name for path in (root / "tmp").iterdir()]
            assert len(aside) <= 1, f"{at}: {aside}"
        balancer = Layout.under(site.site.root("lb"))
        eventually(lambda: not holds.read(balancer), f"{where}: a server is held for nobody")
        # Of each host a keeper and a server; HAProxy; a watcher that is just leaving.
        eventually(lambda: len(processes_in(site.directory)) == 2 * len(HOSTS) + 1, f"{where}: a process is left over")
        assert not site.failed(), f"{where}: {site.failed()}"


def go_through(site: LightSite, chosen: Sequence[Point]) -> dict[str, int]:
    """Crash at each point, and look; count what was met."""
    counts = {"died": 0, "not met": 0}
    for point in chosen:
        crash = Crash(site, point, site.truth(), site.release())
        done = crash.happens()
        died = site.sprung()
        counts["died" if died else "not met"] += 1
        crash.what_it_said_is_so(done)
        crash.status_tells_the_truth(done)
        crash.all_is_clean(crash.is_put_right())
    return counts


@pytest.mark.timeout(7200)
def test_whoever_dies_wherever_no_request_fails_and_each_command_ends_clean(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with light_site(tmp_path / "site1") as one, light_site(tmp_path / "site2") as two:
        sites = [one, two]
        chosen = points(enumerated(one, tmp_path / "trace"))
        assert len(chosen) > 300
        with ThreadPoolExecutor(SITES) as pool:
            counted = list(pool.map(lambda n: go_through(sites[n], chosen[n::SITES]), range(SITES)))
        for site in sites:
            assert not site.failed()
            assert site.requests > 1000
    died = sum(count["died"] for count in counted)
    record_property(CASES, died)
    assert died > 0.95 * len(chosen), counted
