"""How long servers take from empty to serving, phase by phase, and a highstate that has nothing to change.

    make bench-servers          # or: .venv/bin/python bench/servers.py --rounds 5

Five machines on this computer, the real application, PostgreSQL, HTTPS. Beside the highstate: the same Salt asked for
no more than a ping on the same machines at once, which is what starting Salt costs. Quote ratios, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: packaging.py there would be taken for the distribution

from deploy.artifacts import build_release  # noqa: E402  (this script runs from anywhere)
from deploy.fleet import access, machines  # noqa: E402
from deploy.fleet.machines import Fleet  # noqa: E402

FAB = Path(sys.prefix) / "bin" / "fab"
ADDRESSES = {"lb1": 11, "web1": 21, "web2": 22, "web3": 23, "db1": 31}
# What the states install, at hand: a warm package cache.
PACKAGES = ("haproxy", "nftables", "postgresql", "sudo", "systemd-timesyncd", "unattended-upgrades")


def main() -> int:
    """Set five machines up, deploy, and time highstates."""
    parser = argparse.ArgumentParser(description="Time servers from empty to serving.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as scratch,
        machines.fleet(print, cached=PACKAGES) as fleet,
    ):
        checkout = Path(scratch) / "checkout"
        prepare(checkout, fleet)
        fab(checkout, "highstate:fleet", "--help")  # compiles what fab imports
        bootstrap = json.loads(fab(checkout, "bootstrap:fleet", "--json")[0])
        _, deployed = fab(checkout, "deploy:fleet", "--json")
        nothing = [fab(checkout, "highstate:fleet")[1] for _ in range(options.rounds)]
        pings = [ping(fleet) for _ in range(options.rounds)]
    for phase, seconds in bootstrap["seconds"].items():
        print(f"  {phase:<11} {seconds:7.1f} s")
    total = sum(bootstrap["seconds"].values())
    print(f"bootstrap     {total:7.1f} s\ndeploy        {deployed:7.1f} s\nserving after {total + deployed:7.1f} s")
    highstate, least = statistics.median(nothing), statistics.median(pings)
    print(f"highstate without a change {highstate:.2f} s, {highstate / least:.1f} times a ping ({least:.2f} s)")
    return 0


def prepare(checkout: Path, fleet: Fleet) -> None:
    """Make a checkout whose environment `fleet` is these machines, and build its release."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    for name, number in ADDRESSES.items():
        fleet.add(name, number)
    access.write(fleet, checkout / "var/fleet")
    file = checkout / "deploy/environments/fleet.toml"
    text = file.read_text(encoding="utf-8")
    for name, number in ADDRESSES.items():
        text = text.replace(f"10.213.200.{number}", fleet.machines[name].address)
    file.write_text(text, encoding="utf-8")
    build_release(checkout, None, checkout / "dist")


def fab(checkout: Path, *words: str) -> tuple[str, float]:
    """Run `fab`; give its last line and how long it took."""
    started = time.monotonic()
    done = subprocess.run([FAB, *words], cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"fab {' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1], time.monotonic() - started


def ping(fleet: Fleet) -> float:
    """Let every machine's Salt answer a ping, all at once."""
    started = time.monotonic()
    with ThreadPoolExecutor(len(ADDRESSES)) as pool:
        words = ["/usr/local/sbin/salt-call", "--local", "--out=quiet", "test.ping"]
        list(pool.map(lambda name: fleet.machines[name].run(words), ADDRESSES))
    return time.monotonic() - started


if __name__ == "__main__":
    if os.geteuid() or not shutil.which("systemd-nspawn"):
        raise SystemExit("root and systemd-nspawn are needed: packaging/workstation.sh machines")
    raise SystemExit(main())
