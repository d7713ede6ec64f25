"""A site of `local` where a rollout takes a fraction of a second: nothing is missing but the weight of an application.

`fab`, agents, supervisors, sockets and HAProxy are the real ones; what is rolled out is tests/faults/feather.
"""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import contract as contracts
from deploy.artifacts import interpreter
from deploy.artifacts import manifest as manifests
from deploy.artifacts.files import write
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.source.version import Version
from deploy.prober import Client, Door, Request
from tests.deploy.agent import kit
from tests.local.conftest import HOSTS, Result, Site, make_site

HERE = Path(__file__).parent
FEATHER = HERE / "feather"
PATIENCE = 300.0  # seconds for any command: none is ever due to speed


class Operator:
    """Somebody who types `fab`, whose process was loaded beforehand."""

    def __init__(self, site: Path) -> None:
        self._site = site
        self._process = subprocess.Popen(
            [sys.executable, HERE / "desk.py"],
            cwd=site,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fab(self, *words: str, trap: dict[str, Any] | None = None) -> Result:
        """Type a command; say how it ended."""
        out, err = self._site / "out", self._site / "err"
        assert self._process.stdin
        assert self._process.stdout
        wanted = {"argv": words, "out": str(out), "err": str(err), "trap": trap}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "the operator's process is gone"
        return Result(int(code), out.read_text(), err.read_text())

    def close(self) -> None:
        """Go home."""
        self._process.communicate()


@dataclass
class LightSite:
    """The site, its operator, and what is needed to set traps."""

    site: Site
    operator: Operator
    contract: contracts.Contract
    clients: list[Client]
    interpreter: Interpreter
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def directory(self) -> Path:
        """See `Site`."""
        return self.site.directory

    @property
    def requests(self) -> int:
        """Count what users have sent so far."""
        return sum(len(client.tally.seconds) for client in self.clients)

    def failed(self) -> dict[str, int]:
        """Say what has failed at users so far."""
        return dict(sum((client.tally.failures for client in self.clients), Counter[str]()))

    def release(self) -> str:
        """Put a release into dist/ that differs from all others in one file; give its version."""
        version = f"1.0.{next(self.versions)}"
        folder = self.site.path / "dist" / f"feather-{version}"
        found = {
            f"{self.interpreter.site_packages}/{path.relative_to(FEATHER)}": path.read_bytes()
            for path in FEATHER.rglob("*.py")
        }
        found["pyvenv.cfg"] = b"home = /usr/bin\ninclude-system-site-packages = false\n"
        found["VERSION"] = version.encode()
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(self.contract.interpreter)
        files = [write(folder, name, data) for name, data in found.items()]
        of = Version(version, None, "", dirty=False, epoch=1700000000)
        made = manifests.compose(self.contract, of, self.interpreter, "0" * 64, {}, [], files, {})
        write(folder, manifests.FILE, made.text.encode())
        return version

    def fab(self, *words: str, expect: int | None = 0, trap: dict[str, Any] | None = None) -> Result:
        """Type a command, and insist on its exit code (None: any)."""
        done = self.operator.fab(*words, trap=trap)
        assert expect in (None, done.code), f"fab {' '.join(words)}: exit {done.code}\n{done.out}\n{done.err}"
        return done

    @contextmanager
    def trap(self, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Set a trap for all that starts meanwhile."""
        place = self.directory / "trap.json"
        place.write_text(json.dumps(wanted))
        try:
            yield wanted
        finally:
            place.unlink()

    def sprung(self) -> bool:
        """Whether somebody died in a trap since this was asked last."""
        place = self.directory / "sprung"
        found = place.exists()
        place.unlink(missing_ok=True)
        return found

    def truth(self) -> dict[str, tuple[int, int | None, str]]:
        """See for ourselves, by no code of Slipway: what is current, who answers, what HAProxy does with the server."""
        admin = {}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.directory / "lb" / "run" / "admin.sock"))
            connection.sendall(b"show servers state feather\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        for line in text.splitlines()[2:]:
            words = line.split()
            if words:
                bits = int(words[6])
                admin[words[3]] = "maint" if bits & 0x27 else "drain" if bits & 0x18 else "ready"
        found = {}
        for host, port in zip(HOSTS, self.site.ports[1:], strict=True):
            current = int((self.site.root(host) / "current").readlink().name)
            found[host] = (current, asked(port), admin[host])
        return found


def asked(port: int) -> int | None:
    """Ask a server which generation it is."""
    try:
        return int(kit.get(port)[1]["generation"])
    except OSError:
        return None


def set_traps(site: Site) -> None:
    """Put the agent of each host behind one that can be told where to die."""
    shutil.copy(HERE / "trap.py", site.directory)
    for host in (*HOSTS, "lb"):
        agent = site.root(host) / "releasectl"
        agent.rename(agent.with_suffix(".zip"))
        shutil.copy(HERE / "agent.py", agent)


@contextmanager
def light_site(path: Path) -> Iterator[LightSite]:
    """Set a site up where a first release serves, and clients send requests all the time."""
    site = make_site(path, ships="feather")
    (path / "dist").unlink()
    (path / "dist").mkdir()
    shutil.copy(FEATHER / "pyproject.toml", path)
    site.edit("keep = 5", "keep = 2")
    site.edit('DATABASE_URL = "sqlite:///{directory}/db/gazetteer.sqlite3"\n', "")
    contract = contracts.read(path)
    stop, requests = threading.Event(), [Request(**probe.as_request()) for probe in contract.probe]
    operator = Operator(path)
    try:
        clients = [Client(Door(site.url), requests, 0.08, offset, stop) for offset in range(2)]
        light = LightSite(site, operator, contract, clients, interpreter.find(contract.interpreter, contract.python))
        light.fab("bootstrap:local")
        set_traps(site)
        light.fab("deploy:local", "--version", light.release())
        for client in clients:
            client.start()
        yield light
        stop.set()
        for client in clients:
            client.join()
    finally:
        stop.set()
        for host in (*HOSTS, "lb"):
            agent = site.root(host) / "releasectl"
            if agent.with_suffix(".zip").exists():
                agent.with_suffix(".zip").rename(agent)
        operator.close()
        site.destroy()
