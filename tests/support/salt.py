"""Salt for tests: the bundle that ships, canned grains, pillars of an environment, and the states compiled for it."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deploy import contract as contracts
from deploy.artifacts import agent as builder
from deploy.artifacts import cache as caches
from deploy.artifacts.units import render
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.highstate import bundle as bundles
from deploy.pillar import Sources, pillar
from deploy.secret import Secret
from deploy.secrets_made import needed
from tests.support.contracts import minimal
from tests.support.repository import ROOT

NAME = "sample"
STATES = ROOT / "salt"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL8yDJ6Xg9Zc0i0pE1gM2x1QWcE5wQ5zq0o0Z0k0m0a0 operator"
GRAINS = {
    "debian12": {"os": "Debian", "os_family": "Debian", "osmajorrelease": 12, "osrelease": "12"},
    "rocky9": {"os": "Rocky", "os_family": "RedHat", "osmajorrelease": 9, "osrelease": "9.4"},
    "alma9": {"os": "AlmaLinux", "os_family": "RedHat", "osmajorrelease": 9, "osrelease": "9.4"},
}
ALWAYS = {
    "kernel": "Linux", "virtual": "physical", "init": "systemd", "osarch": "x86_64", "cpuarch": "x86_64",
    "num_cpus": 2, "mem_total": 3930, "path": "/usr/sbin:/usr/bin:/sbin:/bin", "shell": "/bin/sh",
    "saltversioninfo": [3008, 5], "fqdn": "minion", "host": "minion", "id": "minion", "master": "",
}  # fmt: skip


def grains(system: str) -> dict[str, Any]:
    """Give what a server of a distribution says of itself."""
    return {**ALWAYS, **GRAINS[system]}


def pillars(environment: Environment, contract: Contract | None = None, **values: str) -> dict[str, dict[str, Any]]:
    """Give the pillar of each host; a secret's value says its name unless told."""
    secrets = {name: Secret(values.get(name, f"the-value-of-{name}")) for name in needed(environment)}
    sources = Sources(environment, contract or minimal(), secrets, [KEY])
    return {host: pillar(sources, host) for host in environment.hosts}


def write_artifacts(folder: Path, contract: Contract | None = None) -> Path:
    """Put what the states copy, and the operator's side makes, into a folder; give it, a second root for files."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    builder.write(artifacts / "releasectl")
    (artifacts / "files.json").write_text(json.dumps(render(contract or minimal())), encoding="utf-8")
    return folder


INSIDE = "opt/salt"  # where the bundle is on machines


def bundle() -> Path:
    """Give a folder with Salt as it ships, unpacked and compiled once for all tests of this user, under opt/salt.

    So it can be read in place, or be a layer under the file systems of machines.
    """
    contract = contracts.read(ROOT)
    made = bundles.build(contract)
    store, key = caches.of_user(), caches.key(made.key, "compiled")
    if store.entry("salt-unpacked", key) is None:
        with store.adding("salt-unpacked", key) as folder:
            with tarfile.open(made.path) as archive:
                archive.extractall(folder / INSIDE)  # noqa: S202  (made by us)
            compiler = [contract.interpreter, "-W", "ignore", "-m", "compileall", "-q", "-j", "2", "-s", str(folder)]
            subprocess.run([*compiler, "-p", "/", str(folder / INSIDE / "lib")], check=True, capture_output=True)
    return store.root / "salt-unpacked" / key


def compiled(servers: Mapping[str, Mapping[str, Any]], roots: Iterable[Path], scratch: Path) -> dict[str, Any]:
    """Compile the states for servers: {label: {"grains", "pillar"}} (tests/salt/render.py says what comes back).

    In a process of its own: Salt changes warnings, logging and more of the process that imports it.
    """
    job = {"roots": [str(root) for root in roots], "scratch": str(scratch), "servers": servers}
    interpreter = contracts.read(ROOT).interpreter
    done = subprocess.run(
        [interpreter, "-W", "ignore", str(ROOT / "tests/salt/render.py")], input=json.dumps(job),
        capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(bundle() / INSIDE / "lib"), "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))
