"""The contenders of bench/peers.py: how each is told to bring an edition to the hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.ground import JOB, ROOT, WEB, Edition, Ground, run
from deploy.fleet import cgroups
from deploy.fleet.base import MachineError

PEERS = ROOT / "var/bench/peers"
LOCK = ROOT / "packaging/locks/peers.txt"
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "IdentitiesOnly=yes",
    "ControlMaster=auto",
    "ControlPersist=60",
)
PATIENCE = 300.0  # seconds a run may take
WAYS = [(form, lean) for form in ("wheel", "tree") for lean in (False, True)]


def named(peer: str, form: str, lean: bool) -> str:
    """Name a contender by how it does the job."""
    return f"{peer}, {form}, lean" if lean else f"{peer}, {form}"


NAMES = ["floor", "slipway", *(named(peer, *way) for way in WAYS for peer in ("ansible", "pyinfra"))]


@dataclass(frozen=True)
class Spent:
    """What one run took, in seconds: by the clock, of this side's processor, and of each host's."""

    clock: float
    here: float
    there: dict[str, float]


@dataclass(frozen=True)
class Rival:
    """A way to do the job: the words to type, and what they find in the environment."""

    name: str
    words: Callable[[Edition], list[str | Path]]
    folder: Path
    variables: dict[str, str]

    def run(self, ground: Ground, edition: Edition, *, warm: bool = False) -> Spent:
        """Bring an edition to the hosts, with all connections to be made first, unless `warm`.

        Raises: SystemExit when it fails, or has not done the job.
        """
        group = f"bench-{os.getpid()}"
        there = ground.processor()
        begun = time.monotonic()
        try:
            done = subprocess.run(
                ["sh", "-c", f'{cgroups.entering(group)}; exec "$@"', "sh", *map(str, self.words(edition))],
                cwd=self.folder,
                env={**os.environ, **self.variables},
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
            clock, here = time.monotonic() - begun, cgroups.processor(group)
        finally:
            if not warm:
                with suppress(MachineError):
                    cgroups.kill(group)  # connections that would stay open
        if done.returncode not in (0, 10):
            raise SystemExit(f"{self.name}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        used = {name: seconds - there[name] for name, seconds in ground.processor().items()}
        ground.require(edition, self.name)
        return Spent(clock, here, used)


def install() -> str:
    """Install the peers, as locked, into an environment of their own; name them."""
    stamp = PEERS / "lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        run("/usr/bin/python3.11", "-m", "venv", "--clear", PEERS, cwd=ROOT)
        uv = Path(sys.prefix) / "bin/uv"
        run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", PEERS / "bin/python",
            "--require-hashes", "-r", LOCK, cwd=ROOT)  # fmt: skip
        stamp.write_bytes(LOCK.read_bytes())
    lines = run(PEERS / "bin/python", "-m", "pip", "freeze", cwd=ROOT).splitlines()
    return ", ".join(line for line in lines if line.startswith(("ansible-core==", "pyinfra==")))


def rivals(ground: Ground) -> dict[str, Rival]:
    """Give all of them by name, the floor first."""
    sockets = ground.scratch / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)
    made = [_floor(ground, sockets), _slipway(ground, sockets)]
    for form, lean in WAYS:
        made += [_ansible(ground, sockets, form, lean=lean), _pyinfra(ground, form, lean=lean)]
    return {rival.name: rival for rival in made}


def _slipway(ground: Ground, sockets: Path) -> Rival:
    fab = Path(sys.prefix) / "bin/fab"
    variables = {"XDG_RUNTIME_DIR": str(sockets), "SLIPWAY_FLEET_SECRET_KEY": ground.key}
    return Rival("slipway", lambda edition: [fab, "deploy:fleet"], ground.path, variables)


def _ssh(ground: Ground, sockets: Path) -> str:
    options = [*OPTIONS, f"ControlPath={sockets}/%C", f"UserKnownHostsFile={ground.access.known_hosts}"]
    return f"ssh -F /dev/null -l root -i {ground.access.identity} " + " ".join(f"-o {option}" for option in options)


def _floor(ground: Ground, sockets: Path) -> Rival:
    variables = {
        "SSH": _ssh(ground, sockets),
        "BALANCER": ground.address["lb1"],
        "HOSTS": " ".join(f"{name}={ground.address[name]}" for name in WEB),
    }

    def words(edition: Edition) -> list[str | Path]:
        return [JOB / "floor.sh", edition.release.version, edition.release.path, ground.env_file]

    return Rival("floor", words, ground.scratch, variables)


def _ansible(ground: Ground, sockets: Path, form: str, *, lean: bool) -> Rival:
    inventory = ground.scratch / "inventory.ini"
    hosts = "\n".join(f"{name} ansible_host={ground.address[name]}" for name in WEB)
    identity = f"ansible_user=root\nansible_ssh_private_key_file={ground.access.identity}"
    inventory.write_text(
        f"[web]\n{hosts}\n[lb]\nlb1 ansible_host={ground.address['lb1']}\n[all:vars]\n{identity}\n", encoding="utf-8"
    )
    options = [*OPTIONS, f"UserKnownHostsFile={ground.access.known_hosts}"]
    variables = {
        "ANSIBLE_CONFIG": str(JOB / "ansible/ansible.cfg"),
        "ANSIBLE_SSH_ARGS": "-F /dev/null " + " ".join(f"-o {option}" for option in options),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_HOME": str(ground.scratch / "ansible"),
    }

    def words(edition: Edition) -> list[str | Path]:
        given = {**_given(ground, edition, form), "rsh": _ssh(ground, sockets)}
        return [
            PEERS / "bin/ansible-playbook", "-i", inventory, "--extra-vars", json.dumps(given),
            JOB / "ansible" / ("lean.yml" if lean else "rolling.yml"),
        ]  # fmt: skip

    return Rival(named("ansible", form, lean), words, ground.scratch, variables)


def _pyinfra(ground: Ground, form: str, *, lean: bool) -> Rival:
    inventory = ground.scratch / "inventory.json"
    # rsync makes a connection of its own: it may share it with the next one.
    config = ground.scratch / "ssh_config"
    config.write_text("Host *\n", encoding="utf-8")
    web = {name: ground.address[name] for name in WEB}
    files = {"identity": ground.access.identity, "known_hosts": ground.access.known_hosts, "config": config}
    described = {"web": web, "lb": ground.address["lb1"], **{name: str(path) for name, path in files.items()}}
    inventory.write_text(json.dumps(described), encoding="utf-8")

    def words(edition: Edition) -> list[str | Path]:
        given = [f"--data={name}={value}" for name, value in _given(ground, edition, form).items()]
        how = [JOB / "pyinfra/lean.py"] if lean else ["--serial", JOB / "pyinfra/rolling.py"]
        return [PEERS / "bin/pyinfra", "-y", *given, *how[:-1], JOB / "pyinfra/inventory.py", how[-1]]

    return Rival(named("pyinfra", form, lean), words, ground.scratch, {"BENCH_INVENTORY": str(inventory)})


def _given(ground: Ground, edition: Edition, form: str) -> dict[str, str]:
    return {
        "form": form,
        "version": edition.release.version,
        "release": f"/opt/peer/releases/{edition.release.version}",
        "tree": str(edition.release.path),
        "wheels": str(edition.wheels),
        "env_file": str(ground.env_file),
    }
