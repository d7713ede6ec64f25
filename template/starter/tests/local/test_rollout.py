"""From nothing to served, a second version, and back, under traffic: real `fab`, gunicorn and HAProxy, without root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy import contract
from deploy.prober import Prober, Summary
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """A clone of this repository with an environment `local` of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("git", "clone", "--quiet", str(ROOT), str(path), cwd=ROOT)
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.org")
        settings = path / "deploy/environments/local.toml"
        text, ports = settings.read_text(), free_ports(3)
        for old, new in zip((8100, 8101, 8102), ports, strict=True):
            assert f":{old}" in text
            text = text.replace(f":{old}", f":{new}")
        settings.write_text(text)
        self.url = f"http://127.0.0.1:{ports[0]}"

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a command to its end, and insist on its success."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(command, cwd=cwd or self.path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def release(self, message: str) -> str:
        """Commit what there is, and build it."""
        self.run("git", "commit", "--quiet", "--all", "--allow-empty", "--message", message)
        made = self.run(sys.executable, "-m", "deploy.artifacts", "release", "--json")
        return str(json.loads(made)["version"])

    def fab(self, *arguments: str) -> None:
        """Run a task."""
        self.run(str(Path(sys.prefix) / "bin/fab"), *arguments)

    def get(self, path: str) -> Any:
        """Ask through the load balancer."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    @contextmanager
    def traffic(self) -> Iterator[list[Summary]]:
        """Send the contract's requests meanwhile, over keep-alive connections and without a retry."""
        requests = [probe.as_request() for probe in contract.read(self.path).probe]
        prober, found = Prober(self.url, requests, 4, 40.0), []
        try:
            yield found
        finally:
            found.append(prober.stop())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("rollout") / "checkout")
    try:
        yield made
    finally:
        made.fab("destroy:local")


def test_two_versions_and_back_lose_no_request(site: Site) -> None:
    first = site.release("the first")
    site.fab("bootstrap:local")
    site.fab("deploy:local", "--version", first)
    assert site.get("/") == {"name": contract.read(ROOT).name, "version": first}
    with site.traffic() as during:
        second = site.release("the second")
        site.fab("deploy:local", "--version", second)
        assert site.get("/")["version"] == second
        site.fab("rollback:local")
    assert site.get("/")["version"] == first
    assert (during[0].failed, during[0].requests > 20) == (0, True), during[0]
