"""How long a deploy takes on the embedded environment: cold, a one-line change, and nothing; phase by phase.

    make bench                  # or: .venv/bin/python bench/deploy.py --rounds 5

The peer, measured in the same run on the same machine: the script that a team without a tool writes. For each server
it makes a virtual environment, installs the wheel and the locked dependencies from a warm cache, stops gunicorn and
starts the new one: no trial, no drain, requests are lost. It runs with pip and with uv. Quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deploy.artifacts import ReleaseTree, build_release  # noqa: E402  (this script runs from anywhere)

FAB = Path(sys.prefix) / "bin" / "fab"
PORTS = (8190, 8191, 8192)


def main() -> int:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description="Time deploys on the embedded environment.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="pip,uv", help="installers of the hand-written script; empty: none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch:
        bench = Bench(Path(scratch))
        try:
            rows = bench.slipway(options.rounds)
        finally:
            bench.fab("destroy:local")
        for installer in filter(None, options.peers.split(",")):
            rows |= bench.peer(installer, options.rounds)
    report(rows)
    return 0


class Bench:
    """A checkout of its own, on ports of its own."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.path = scratch, scratch / "checkout"
        run("git", "clone", "--quiet", str(ROOT), str(self.path), cwd=scratch)
        environment = self.path / "deploy/environments/local.toml"
        text = environment.read_text()
        for old, new in zip((8100, 8101, 8102), PORTS, strict=True):
            text = text.replace(f":{old}", f":{new}")
        # The peers compare nothing after a host's turn.
        environment.write_text(text.replace("seconds = 2 ", "seconds = 0 "))
        run(
            "git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qam", "ports", cwd=self.path
        )
        self.release = self.build()
        self.lines = 0

    def build(self) -> ReleaseTree:
        """Build the release of the checkout as it is."""
        return build_release(self.path, None, self.path / "dist")

    def change_a_line(self) -> None:
        """Change one line of the application."""
        self.lines += 1
        with (self.path / "app/about.py").open("a") as file:
            file.write(f"\n# Line {self.lines}.\n")

    def fab(self, *arguments: str) -> dict[str, object]:
        """Run a task; give its outcome."""
        done = subprocess.run([FAB, *arguments], cwd=self.path, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 10):
            raise SystemExit(f"fab {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return dict(json.loads(done.stdout.splitlines()[-1])) if "--json" in arguments else {}

    def deploy(self) -> dict[str, object]:
        """Deploy what the checkout is."""
        return self.fab("deploy:local", "--json")

    def slipway(self, rounds: int) -> dict[str, list[dict[str, float]]]:
        """Time Slipway: each round from an empty environment."""
        rows: dict[str, list[dict[str, float]]] = {
            "cold": [],
            "build, one line changed": [],
            "one line changed": [],
            "nothing": [],
        }
        for _ in range(rounds):
            self.fab("destroy:local")
            self.fab("bootstrap:local")
            rows["cold"].append(timed(self.deploy))
            self.change_a_line()
            rows["build, one line changed"].append(timed(lambda: {"built": self.build().version}))
            rows["one line changed"].append(timed(self.deploy))
            rows["nothing"].append(timed(self.deploy))
        return {f"slipway: {name}": found for name, found in rows.items()}

    def peer(self, installer: str, rounds: int) -> dict[str, list[dict[str, float]]]:
        """Time the hand-written script; cold, it too has to fill a database."""
        run(sys.executable, "-m", "deploy.artifacts", "wheel", "--out", self.scratch / "wheel", cwd=self.path)
        (wheel,) = (self.scratch / "wheel").glob("*.whl")
        variables = {
            **os.environ,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": f"sqlite:///{self.scratch}/{installer}/database.sqlite3",
        }
        peer = Peer(self.scratch / installer, installer, wheel, self.path / "packaging/locks/app.txt", variables)
        rows: dict[str, list[dict[str, float]]] = {"cold": [], "one line changed": []}
        try:
            for _ in range(rounds):
                peer.stop()
                rows["cold"].append(timed(peer.roll))
                rows["one line changed"].append(timed(peer.roll))
        finally:
            peer.stop()
        return {f"{installer} script: {name}": found for name, found in rows.items()}


class Peer:
    """Two servers, each with a virtual environment made anew for each version, one after the other."""

    def __init__(self, path: Path, installer: str, wheel: Path, lock: Path, variables: dict[str, str]) -> None:
        self.path, self.installer, self.wheel, self.lock, self.variables = path, installer, wheel, lock, variables
        self.number = 0
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def roll(self) -> dict[str, object]:
        """Bring both servers to a new version; the database comes with the first."""
        self.number += 1
        for port in PORTS[1:]:
            self._server(port)
        return {}

    def _server(self, port: int) -> None:
        environment = self.path / str(port) / str(self.number)
        python = environment / "bin/python"
        if self.installer == "uv":
            uv = Path(sys.prefix) / "bin/uv"
            run(uv, "venv", "--quiet", "--python", "/usr/bin/python3.11", environment, cwd=self.path.parent)
            run(
                uv,
                "pip",
                "install",
                "-q",
                "--compile-bytecode",
                "--python",
                python,
                "--require-hashes",
                "-r",
                self.lock,
                cwd=self.path.parent,
            )
            run(
                uv,
                "pip",
                "install",
                "-q",
                "--compile-bytecode",
                "--python",
                python,
                "--no-deps",
                self.wheel,
                cwd=self.path.parent,
            )
        else:
            run("/usr/bin/python3.11", "-m", "venv", environment, cwd=self.path.parent)
            pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            run(*pip, "--require-hashes", "-r", self.lock, cwd=self.path.parent)
            run(*pip, "--no-deps", self.wheel, cwd=self.path.parent)
        if self.number == 1 and port == PORTS[1]:
            for command in ("upgrade", "seed"):
                run(python, "-m", "app", "db", command, cwd=self.path, env=self.variables)
        self._stop(port)
        options = ["--preload", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--no-control-socket"]
        with (self.path / f"{port}.log").open("ab") as log:
            self.processes[port] = subprocess.Popen(
                [python, "-m", "gunicorn", *options, "--bind", f"127.0.0.1:{port}", "app.wsgi:application"],
                env=self.variables,
                cwd=self.path,
                stdout=log,
                stderr=log,
            )
        wait_for(f"http://127.0.0.1:{port}/readyz")

    def _stop(self, port: int) -> None:
        if process := self.processes.pop(port, None):
            process.send_signal(signal.SIGTERM)
            process.wait()

    def stop(self) -> None:
        """Stop everything and remove it: the next round starts cold."""
        for port in PORTS[1:]:
            self._stop(port)
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")


def wait_for(url: str) -> None:
    """Wait until it answers 200."""
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  (our own server)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)


def timed(act: Callable[[], dict[str, object]]) -> dict[str, float]:
    """Time a call; a rollout's phases come with it."""
    begun = time.monotonic()
    outcome = act()
    seconds = {"total": time.monotonic() - begun}
    phases = outcome.get("phases")
    if isinstance(phases, dict):
        seconds |= phases
    return seconds


def report(rows: dict[str, list[dict[str, float]]]) -> None:
    """Print the median of each row with its phases, then the ratios."""
    median = {name: statistics.median(s["total"] for s in found) for name, found in rows.items()}
    for name, found in rows.items():
        spread = f"{min(s['total'] for s in found):.2f} to {max(s['total'] for s in found):.2f}"
        print(f"{name:<34} {median[name]:7.2f} s   ({spread})")
        for phase in (p for p in found[0] if p != "total"):
            print(f"{'':<10}{phase:<24} {statistics.median(s.get(phase, 0.0) for s in found):7.2f} s")
    for name in ("cold", "one line changed"):
        for peer in (n for n in rows if n.endswith(f"script: {name}")):
            print(f"{peer} / slipway: {name} = {median[peer] / median[f'slipway: {name}']:.2f}")


if __name__ == "__main__":
    sys.exit(main())
