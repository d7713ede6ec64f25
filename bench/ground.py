"""The ground on which bench/peers.py lets tools do the same job: a load balancer, three web hosts, a tiny application.

All hosts are set up for all contenders: user, units, HAProxy, what they need of Debian. A reset brings them back.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment as Jinja
from jinja2 import FileSystemLoader, StrictUndefined

from deploy import contract as contracts
from deploy import haproxy
from deploy.artifacts import ReleaseTree, build_release
from deploy.balancer import SWITCH
from deploy.fleet import access, by_hand, cgroups
from deploy.fleet.cable import Slowness
from deploy.fleet.machines import Fleet, Machine, together

ROOT = Path(__file__).resolve().parent.parent
JOB = Path(__file__).parent / "job"
NAME = "tiny"
WEB = ("web1", "web2", "web3")
PACKAGES = ("haproxy", "python3-packaging", "python3-setuptools", "python3-venv", "rsync", "socat")
LOCKED = (
    "blinker", "click", "flask", "gunicorn", "itsdangerous", "jinja2", "markupsafe", "packaging", "werkzeug",
)  # fmt: skip
AUTHOR = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
ENVIRONMENT = """
transport = "ssh"
secrets = ["SECRET_KEY"]

[ssh]
identity = "{access.identity}"
known_hosts = "{access.known_hosts}"
config = "/dev/null"

[balancer]
listen = "{lb}:80"

[hosts.lb1]
roles = ["lb"]
address = "{lb}"

{hosts}
[rollout]
canary = {canary}
batch = {batch}

[rollout.bake]
seconds = 0

[variables]
COLOUR = "blue"
"""
PEER = "install -d /opt/peer/releases && systemctl --quiet enable peer.service"
SETTLED = 0.3  # CPU seconds a second, of all machines together, below which nobody is busy with a boot any more


@dataclass(frozen=True)
class Edition:
    """One version of the application, in the forms that tools take."""

    name: str  # what its page says
    commit: str
    release: ReleaseTree
    wheels: Path


class Ground:
    """Machines, and a checkout from which Slipway deploys to them."""

    def __init__(self, fleet: Fleet, scratch: Path) -> None:
        self.fleet, self.path, self.scratch = fleet, scratch / "checkout", scratch
        self.editions = 0
        self.key = secrets.token_hex()
        fleet.add_all(dict.fromkeys(("lb1", *WEB)))
        self.access = access.write(fleet, scratch / "access")
        self.address = {name: fleet.machines[name].address for name in ("lb1", *WEB)}
        self.env_file = scratch / "env"
        self.env_file.write_text(f"COLOUR=blue\nSECRET_KEY={self.key}\n", encoding="utf-8")
        self.env_file.chmod(0o600)
        self._checkout()
        self.contract = contracts.read(self.path)
        for name in ("lb1", *WEB):
            self._set_up(name)
        self.webs = [fleet.machines[name] for name in WEB]
        together(self.webs, Machine.snapshot)
        self.reset()

    def _checkout(self) -> None:
        """Make a repository: the tools of this one, and the tiny application."""
        copy_tools(self.path)
        shutil.copytree(JOB / "app", self.path, dirs_exist_ok=True)
        hosts = "".join(f'[hosts.{name}]\nroles = ["web"]\naddress = "{self.address[name]}"\n\n' for name in WEB)
        text = ENVIRONMENT.format(access=self.access, lb=self.address["lb1"], hosts=hosts, canary=0, batch=1)
        (self.path / "deploy/environments/fleet.toml").write_text(text, encoding="utf-8")
        (self.path / "lock.txt").write_text(locked(*LOCKED), encoding="utf-8")
        run("git", "init", "--quiet", cwd=self.path)

    def edition(self) -> Edition:
        """Change the application, and build what tools ship of it."""
        self.editions += 1
        name = str(self.editions)
        (self.path / "tiny/__init__.py").write_text(f'"""One page."""\n\nEDITION = "{name}"\n', encoding="utf-8")
        run("git", "add", "--all", cwd=self.path)
        run("git", *AUTHOR, "commit", "--quiet", "-m", name, cwd=self.path)
        release = build_release(self.path, None, self.path / "dist")
        wheels = self.scratch / "wheels" / name
        run(sys.executable, "-m", "deploy.artifacts", "wheel", "--out", wheels, cwd=self.path)
        for wheel in self._dependencies().glob("*.whl"):
            os.link(wheel, wheels / wheel.name)
        commit = run("git", "rev-parse", "HEAD", cwd=self.path).strip()
        return Edition(name, commit, release, wheels)

    def _dependencies(self) -> Path:
        """Fetch the wheels of the locked dependencies, once."""
        kept = self.scratch / "wheels" / "dependencies"
        if not kept.exists():
            options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:")
            python = ROOT / "var/bench/peers/bin/python"
            run(python, "-m", "pip", "download", *options, "-r", self.path / "lock.txt", "-d", kept, cwd=self.path)
        return kept

    def _set_up(self, name: str) -> None:
        """Do what Salt would, and what the peers' own playbooks for servers would."""
        machine = self.fleet.machines[name]
        by_hand.install(machine, self.contract, self.scratch)
        if name in WEB:
            unit = (JOB / "peer.service").read_text(encoding="utf-8").replace("@ADDRESS@", machine.address)
            by_hand.write(machine, {"/etc/systemd/system/peer.service": unit})
            by_hand.serve(machine, self.contract)
            machine.run(PEER)
            return
        for script in ("lb-drain", "lb-restore"):
            machine.push(JOB / script, f"/usr/local/sbin/{script}", 0o755)
        servers = [{"name": web, "address": f"{self.address[web]}:8000"} for web in WEB]
        by_hand.balance(machine, balancer_config(self.contract, f"{self.address['lb1']}:80", servers))

    def reset(self, delay: float = 0.0) -> None:
        """Bring the web hosts back to what they were before anything was deployed; wait until they are at rest."""
        together(self.webs, Machine.reset)
        states = "".join(f"set server {NAME}/{name} state ready\n" for name in WEB)
        for line in states.splitlines():
            self.fleet.machines["lb1"].run(f"echo '{line}' | socat - /run/haproxy/admin.sock")
        for machine in (*self.webs, self.fleet.machines["lb1"]):
            if delay:
                machine.cable.slow(Slowness(delay=delay))
        for _ in range(20):
            before = sum(self.processor().values())
            time.sleep(0.5)
            if sum(self.processor().values()) - before < SETTLED / 2:
                return

    def processor(self) -> dict[str, float]:
        """Tell how many CPU seconds each host has used since it was switched on."""
        return {name: cgroups.processor(machine.unique) for name, machine in self.fleet.machines.items()}

    def served(self) -> dict[str, str]:
        """Ask through the load balancer who answers, and with which edition."""
        found: dict[str, str] = {}
        for _ in range(30):
            with urllib.request.urlopen(f"http://{self.address['lb1']}/", timeout=10) as answer:
                page: dict[str, Any] = json.loads(answer.read())
            if page["colour"] != "blue":
                raise SystemExit(f"{page['host']} has not the variables that it shall have: {page}")
            found[page["host"]] = page["edition"]
        return found

    def require(self, edition: Edition, who: str) -> None:
        """See that the job was really done: all hosts are in service, with this edition.

        Raises: SystemExit.
        """
        if self.served() != dict.fromkeys(WEB, edition.name):
            raise SystemExit(f"{who}: expected edition {edition.name} of {', '.join(WEB)}, got {self.served()}")


def copy_tools(path: Path) -> None:
    """Copy the operator's side of this repository, without its environments."""
    for part in ("deploy", "packaging", "salt"):
        shutil.copytree(ROOT / part, path / part)
    shutil.copy2(ROOT / "fabfile.py", path)
    for file in (path / "deploy/environments").glob("*.toml"):
        file.unlink()
    (path / ".gitignore").write_text("__pycache__/\n/dist/\n/var/\n", encoding="utf-8")
    (path / "var").mkdir()


def balancer_config(
    contract: contracts.Contract,
    listen: str,
    servers: list[dict[str, str]],
    *,
    sockets: str = "/run/haproxy",
    state: str = "/var/lib/haproxy/server-state",
    errors: str = "/etc/haproxy/errors",
    user: str = "haproxy",
) -> str:
    """Write HAProxy's configuration as Salt does."""
    loader = FileSystemLoader(haproxy.TEMPLATES)
    jinja = Jinja(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701  (not HTML)
    return jinja.get_template("haproxy.cfg.jinja").render(
        name=NAME,
        digest="0" * 16,
        listen=listen,
        servers=servers,
        health=contract.health,
        sockets=sockets,
        state=state,
        errors=errors,
        maintenance=SWITCH if errors else "",
        slots=contract.server.slots,
        max_request=60,
        user=user,
        certificate="",
        stats=None,
    )


def locked(*names: str) -> str:
    """Give the lines of the application's lock that pin these."""
    kept, keep = [], False
    for line in (ROOT / "packaging/locks/app.txt").read_text(encoding="utf-8").splitlines():
        if line and line[0].isalpha():
            keep = line.partition("==")[0] in names
        if keep and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept) + "\n"


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed; give what it said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
