"""Whole rollouts without root: a copy of this checkout with its own ports, and real `fab`, gunicorn and HAProxy.

What is shipped is the kiosk (tests/support/kiosk), as somebody would who put another application into this repository;
`test_reference.py` ships gazetteer.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy import contract
from deploy import environment as environments
from deploy.agent.layout import Layout
from deploy.agents import Agent
from deploy.artifacts import ReleaseTree
from deploy.balancer import Balancer, agent_sender
from deploy.errors import SlipwayError
from deploy.facts import Host
from deploy.hosts import LOCAL_BALANCER, connect
from deploy.prober import Prober, Summary
from tests.deploy.agent import kit
from tests.support import releases
from tests.support.ports import free_ports

ROOT = releases.ROOT
FAB = Path(sys.prefix) / "bin" / "fab"
HOSTS = ("web1", "web2")


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Read `--json` output: one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        """Read the outcome."""
        return self.events[-1]


class Inside(Agent):
    """A host's agent within this process: for a look that is no part of what is tested."""

    def __init__(self, host: str, root: Path, name: str | None = None) -> None:
        super().__init__(host, [])
        self._layout = Layout.under(root, name)

    def request(self, verb: str, arguments: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Carry out one verb."""
        return kit.call(self._layout, verb, **arguments)


@dataclass
class Site:
    """A checkout with an environment `local` of its own."""

    path: Path
    ports: tuple[int, ...]
    settings: str = ""  # the environment file that it begins with

    @property
    def url(self) -> str:
        """Where the load balancer listens."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> Path:
        """The environment file."""
        return self.path / "deploy" / "environments" / "local.toml"

    @property
    def directory(self) -> Path:
        """The environment's directory."""
        return self.path / "var" / "local"

    def root(self, host: str) -> Path:
        """Name a host's directory."""
        return self.directory / host

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `fab` with these arguments, in a session of its own as a terminal would."""
        return subprocess.Popen(
            [FAB, *arguments],
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def fab(self, *arguments: str, expect: int | None = 0) -> Result:
        """Run `fab` to its end, and insist on its exit code (None: any)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=150)
        result = Result(process.returncode, out, err)
        assert expect in (None, result.code), f"fab {' '.join(arguments)}: exit {result.code}\n{out}\n{err}"
        if "--json" in arguments and expect is not None:  # objects and nothing else; what is refused speaks on stderr
            assert all(isinstance(event, dict) for event in result.events)
            assert result.events or (result.code == 2 and result.err)
        return result

    def deploy(self, release: ReleaseTree, expect: int | None = 0) -> Result:
        """Deploy a release, in JSON."""
        return self.fab("deploy:local", "--version", release.version, "--json", expect=expect)

    def ensure(self, release: ReleaseTree) -> None:
        """Bring the site to a release, whatever it runs now."""
        if not (all(h.in_service for h in self.status().values()) and self.versions() == {release.version}):
            assert self.deploy(release, expect=None).code in (0, 10)  # it may have come back by itself meanwhile

    def status(self) -> dict[str, Host]:
        """Look at every host, without starting a `fab` or an agent for it.

        On a busy machine a process may take longer to answer than the second that an agent waits: look again then.
        """
        environment = replace(environments.read("local", self.environment.parent), directory=self.directory)
        with connect(environment, contract.read(self.path).name) as hosts:
            hosts.agents = {host: Inside(host, self.root(host)) for host in hosts.agents}
            inside = Inside(LOCAL_BALANCER, self.root(LOCAL_BALANCER), hosts.name)
            hosts.balancer = Balancer(hosts.name, agent_sender(inside, {}))
            for _ in range(5):
                observed = hosts.observe()
                if all(process.ready is not None for host in observed for process in host.processes):
                    break
            return {host.name: host for host in observed}

    @property
    def serves(self) -> bool:
        """Whether every host is in service, by the environment file that a site begins with."""
        try:
            return self.environment.read_text() == self.settings and all(h.in_service for h in self.status().values())
        except SlipwayError:
            return False

    def versions(self) -> set[str]:
        """Say which versions serve."""
        running = set()
        for host in self.status().values():
            current = host.generation(host.current)
            assert host.serving, host
            assert current, host
            running.add(current.version)
        return running

    def pids(self) -> dict[str, list[int]]:
        """Say which processes serve."""
        return {name: sorted(p.pid for p in host.processes) for name, host in self.status().items()}

    def edit(self, old: str, new: str) -> None:
        """Change the environment file."""
        text = self.environment.read_text()
        assert old in text
        self.environment.write_text(text.replace(old, new))

    @contextmanager
    def edited(self, old: str, new: str) -> Iterator[None]:
        """Change the environment file for a while."""
        before = self.environment.read_text()
        self.edit(old, new)
        try:
            yield
        finally:
            self.environment.write_text(before)

    @contextmanager
    def traffic(self, clients: int = 8, rate: float = 60.0) -> Iterator[list[Summary]]:
        """Send the contract's requests meanwhile, over keep-alive connections and without a retry."""
        requests = [probe.as_request() for probe in contract.read(self.path).probe]
        prober = Prober(self.url, requests, clients, rate)
        summaries: list[Summary] = []
        try:
            yield summaries
        finally:
            summaries.append(prober.stop())

    def destroy(self) -> None:
        """Take the environment down, whatever state the tests left it in."""
        self.fab("destroy:local", expect=None)
        for pid in processes_in(self.directory):  # what a broken `destroy` left must not outlive the test
            os.kill(pid, signal.SIGKILL)


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    """Hold a deployer in the middle of its work meanwhile, however fast it is."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def processes_in(directory: Path) -> list[int]:
    """Find the processes whose working directory is in an environment's: all that it runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def copy_checkout(target: Path) -> None:
    """Copy the working tree as git sees it, and its bytecode; built releases are shared with every other test."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    compiled = [str(path.relative_to(ROOT)) for path in ROOT.glob("deploy/**/__pycache__/*.pyc")]
    for name in [*filter(None, listed.split("\0")), *compiled]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "dist").symlink_to(releases.OUT)


def make_site(path: Path, *, ships: str = "kiosk") -> Site:
    """Make a site that is not set up yet."""
    copy_checkout(path)
    if ships == "kiosk":
        shutil.copy(releases.KIOSK / "pyproject.toml", path)
    ports = tuple(free_ports(3))
    site = Site(path, ports)
    site.edit("seconds = 2 ", "seconds = 0 ")  # test_bake.py is about it
    for old, new in zip((8100, 8101, 8102), ports, strict=True):
        site.edit(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    return Site(path, ports, site.environment.read_text())


@pytest.fixture(scope="session")
def base() -> ReleaseTree:
    """Build a release."""
    return releases.kiosk()


@pytest.fixture(scope="session")
def newer() -> ReleaseTree:
    """Build a release that differs in one line."""
    return releases.kiosk("newer", {"kiosk/about.py": '"""One line more."""\n'})


@pytest.fixture(scope="session")
def sites() -> Iterator[list[Site]]:
    """Hold the site that suites use one after another."""
    made: list[Site] = []
    yield made
    for each in made:
        each.destroy()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree, sites: list[Site]) -> Site:
    """Give a site where a release serves: the one that the suite before has left, when it did so in good order."""
    if sites and not sites[0].serves:
        sites.pop().destroy()
    if not sites:
        sites.append(make_site(tmp_path_factory.mktemp("site")))
        sites[0].fab("bootstrap:local")
        sites[0].deploy(base)
    return sites[0]


@contextmanager
def own_site(path: Path, base: ReleaseTree) -> Iterator[Site]:
    """Give a site where a release serves, which no other suite gets: for what would stay in it."""
    made = make_site(path)
    try:
        made.fab("bootstrap:local")
        made.deploy(base)
        yield made
    finally:
        made.destroy()
