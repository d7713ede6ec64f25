"""An environment of real servers, reached by SSH: `remote`, booted once a worker, and `fab` of a checkout of its own.

lb1 has Debian's HAProxy, web1 to web3 the agent and its units; all have a user who may call the agent and nothing else.
What Salt does on servers is done here by hand: these tests are about the rollout.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deploy import certificate, facts, haproxy, ssh
from deploy import contract as contracts
from deploy import environment as environments
from deploy.artifacts.files import MTIME
from deploy.balancer import SWITCH
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.facts import Host
from deploy.fleet import access, by_hand, machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Fleet, Machine
from deploy.hosts import connect
from deploy.prober import Prober, Summary, first_certificate
from tests.deploy.agent import kit
from tests.support.environments import hosts
from tests.support.repository import ROOT, files

NAME = "sample"
BUNDLE = "/etc/haproxy/site.pem"  # certificate and key of a load balancer
WEB = ("web1", "web2", "web3")
HEARD = 30.0  # seconds until a web server that is there has said something, on whatever computer
FAB = Path(sys.prefix) / "bin" / "fab"
PYPROJECT = f"""
[project]
name = "{NAME}"

[tool.slipway]
app = "tiny:application"
python = "{kit.PYTHON}"
lock = "lock.txt"

[tool.slipway.server]
workers = 1
graceful_timeout = 5

[[tool.slipway.probe]]
path = "/"

[[tool.slipway.probe]]
path = "/"
method = "POST"
json = {{ a = 1 }}
"""
ENVIRONMENT = """
transport = "ssh"
secrets = ["SECRET_KEY"]

[ssh]
identity = "{access.identity}"
known_hosts = "{access.known_hosts}"
config = "/dev/null"
connect_timeout = 20
silence = 15

[balancer]
listen = "{lb}:443"
tls = "self-signed"
names = ["sample.example"]
max_request = 5

{hosts}
[rollout]
canary = 1
batch = 2
lease = 5
drain_timeout = 5

[rollout.bake]
seconds = 0

[prober]
clients = 2
rate = 20

[variables]
COLOUR = "blue"
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> dict[str, Any]:
        """Read the last line of `--json` output."""
        return dict(json.loads(self.out.splitlines()[-1]))


@dataclass
class Remote:
    """The servers, and a checkout whose environment `fleet` they are."""

    path: Path
    fleet: Fleet
    contract: Contract
    bundle: str  # certificate and key of the load balancer
    settings: dict[str, str] = field(default_factory=dict)  # of the process environment: where ssh keeps its sockets
    patience: ClassVar[float] = 150  # seconds that a `fab` may take

    @property
    def file(self) -> Path:
        """The environment file."""
        return self.path / "deploy/environments/fleet.toml"

    @property
    def environment(self) -> Environment:
        """Read the environment file."""
        return environments.read("fleet", self.file.parent)

    def __getitem__(self, name: str) -> Machine:
        return self.fleet.machines[name]

    def release(self, version: str, release: kit.Release, **changes: Any) -> str:
        """Put a release into dist/, as `make release` would; answer its version."""
        described = self.contract.for_manifest()
        described["health"]["deadline"] = 10
        made = release.variant(version, name=NAME, contract=described, migrations=[], **changes)
        tree = self.path / "dist" / f"{NAME}-{version}"
        for name, data in {**made.files, "manifest.json": made.text.encode()}.items():
            file = tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if name.startswith("bin/") else 0o644)
            os.utime(file, (MTIME, MTIME))
        (tree / "bin").mkdir(exist_ok=True)
        (tree / "bin/python").symlink_to(kit.INTERPRETER)
        return version

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `fab` with these arguments, in a session of its own as a terminal would."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", FAB, *arguments],  # whatever who began the tests ignores
            cwd=self.path,
            env={**os.environ, **self.settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def fab(self, *arguments: str, expect: int | None = 0) -> Result:
        """Run `fab` to its end, and insist on its exit code (None: any)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=self.patience)
        result = Result(process.returncode, out, err)
        assert expect in (None, result.code), f"fab {' '.join(arguments)}: exit {result.code}\n{out}\n{err}"
        return result

    def deploy(self, version: str, expect: int | None = 0) -> Result:
        """Deploy a release, in JSON."""
        return self.fab("deploy:fleet", "--version", version, "--json", expect=expect)

    def ensure(self, version: str) -> None:
        """Bring the servers to a release, whatever they run now."""
        seen = self.status().values()
        if not all(h.in_service and (g := h.generation(h.current)) and g.version == version for h in seen):
            assert self.deploy(version, expect=None).code in (0, 10)  # it may have come back by itself meanwhile

    def status(self) -> dict[str, Host]:
        """Look at every host, without starting a `fab` for it."""
        with connect(self.environment, self.contract.name) as hosts:
            return {host.name: host for host in hosts.observe()}

    def _heard(self) -> dict[str, Host]:
        """Look until each web server has answered: a busy one may need longer than the second that agents wait."""
        end = time.monotonic() + HEARD
        while True:
            seen = self.status()
            running = ((process, host.current) for host in seen.values() for process in host.processes)
            current = (process for process, number in running if process.generation == number)
            if time.monotonic() > end or all(p.ready is not None for p in current if p.name == facts.WEB):
                return seen

    def versions(self) -> set[str]:
        """Say which versions serve, and insist that all hosts are in service."""
        seen = self._heard().values()
        assert all(host.in_service for host in seen), seen
        return {str(g.version) for host in seen if (g := host.generation(host.current))}

    @contextmanager
    def edited(self, old: str, new: str) -> Iterator[None]:
        """Change the environment file for a while."""
        before = self.file.read_text()
        assert old in before
        self.file.write_text(before.replace(old, new))
        try:
            yield
        finally:
            self.file.write_text(before)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Give hosts up sooner for a while: for tests in which one is dead, and time is all that it takes."""
        self.hang_up()  # a connection that is open has the patience that it began with
        with self.edited("connect_timeout = 20\nsilence = 15", "connect_timeout = 5\nsilence = 9"):
            yield
        self.hang_up()

    @contextmanager
    def traffic(self, clients: int = 8, rate: float = 80.0) -> Iterator[list[Summary]]:
        """Send GET and POST over keep-alive connections meanwhile, without a retry."""
        environment = self.environment
        requests = [probe.as_request() for probe in self.contract.probe]
        shown = first_certificate(self.bundle)
        prober = Prober(environment.url, requests, clients, rate, addresses=environment.doors, certificate=shown)
        summaries: list[Summary] = []
        try:
            yield summaries
        finally:
            summary = prober.stop()
            assert summary
            summaries.append(summary)

    def hang_up(self) -> None:
        """Close the connections that ssh keeps open."""
        environment = self.environment
        for host in environment.hosts:
            for admin in (False, True):
                subprocess.run(ssh.disconnect(environment, host, admin=admin), capture_output=True, check=False)

    def stuff(self, name: str) -> None:
        """Install what Salt would."""
        machine = self[name]
        by_hand.install(machine, self.contract, self.path / "var")
        if name in self.environment.web:
            by_hand.serve(machine, self.contract)
        else:
            self.write(machine, {BUNDLE: self.bundle})
            machine.run(f"chmod 600 {BUNDLE}")
            by_hand.balance(machine, self.balancer())

    def balancer(self) -> str:
        """Write HAProxy's configuration as a server has it."""
        text = haproxy.render(self.environment, self.contract)
        text = re.sub(r"unix@\S+/admin\.sock", "unix@/run/haproxy/admin.sock", text)
        text = re.sub(r"server-state-file \S+", "server-state-file /var/lib/haproxy/server-state", text)
        text = text.replace(f"-f {haproxy.SWITCH}", f"-f {SWITCH}").replace(
            f" {haproxy.PAGES}/", " /etc/haproxy/errors/"
        )
        text = text.replace("\nglobal\n", "\nglobal\n    user haproxy\n    group haproxy\n")
        return re.sub(r"(?m)^(    bind \S+)$", rf"\1 ssl crt {BUNDLE} alpn http/1.1", text)

    write = staticmethod(by_hand.write)


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Boot the servers and make them ready for a first deploy."""
    with booted(tmp_path_factory.mktemp("remote")) as made:
        yield made


@contextmanager
def booted(folder: Path, names: Sequence[str] = ("lb1", *WEB), text: str = ENVIRONMENT) -> Iterator[Remote]:
    """Boot servers that are named after their roles, ready for a first deploy, and a checkout in this folder.

    The text of the environment file may name {access}, {lb} and {hosts}.
    """
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    # Short, since a socket's path may have 107 bytes; our own, since addresses of gone machines come back.
    sockets = Path(tempfile.mkdtemp(prefix="slw", dir="/tmp"))
    settings = {"XDG_RUNTIME_DIR": str(sockets), "SLIPWAY_FLEET_SECRET_KEY": secrets.token_hex()}
    with pytest.MonkeyPatch.context() as patch, machines.fleet(print, packages=("haproxy",)) as fleet:
        checkout(folder)
        addresses = {machine.name: machine.address for machine in fleet.add_all(dict.fromkeys(names))}
        given = access.write(fleet, folder / "access")
        file = folder / "deploy/environments/fleet.toml"
        file.write_text(text.format(access=given, lb=addresses["lb1"], hosts=hosts(addresses)))
        bundle = certificate.self_signed(["sample.example"]).reveal()
        settings["SLIPWAY_FLEET_TLS_CERTIFICATE"] = bundle
        for name, value in settings.items():
            patch.setenv(name, value)
        made = Remote(folder, fleet, contracts.parse(PYPROJECT), bundle, settings)
        try:
            for name in names:
                made.stuff(name)
            yield made
        finally:
            made.hang_up()
            shutil.rmtree(sockets)


def checkout(folder: Path, pyproject: str = PYPROJECT) -> None:
    """Make a checkout of the operator's side, whose application is a tiny one, and which has no environment yet."""
    for path in files():
        name = path.relative_to(ROOT)
        if name.parts[0] in ("deploy", "packaging", "salt", "fabfile.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)
    (folder / "pyproject.toml").write_text(pyproject)
    (folder / "var").mkdir()
    for path in (folder / "deploy/environments").glob("*.toml"):
        path.unlink()
