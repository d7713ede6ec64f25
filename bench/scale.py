"""What many hosts cost: a deploy of nothing, and of a new version, to 1, 3, 10, 30 and 100 of them, side by side.

    make bench-scale            # or, as root: .venv/bin/python bench/scale.py --hosts 1,10,100

The hosts are addresses of one machine of this computer: each connection ends at a real sshd, in a process of its own,
and a real agent there has a directory, a gunicorn and a place in HAProxy for each address. So all that the operator's
side does is done as for servers: a connection, a key exchange, a session, requests and files for each. What the hosts
do shares the processors of this computer, and is counted apart; the rollout goes in batches of a quarter. The goals:
the wall time grows by less than a fifth of the number of hosts, and 100 of them take less than 200 MB here.

Beside a deploy of nothing stands a floor: one ssh to each host, all at once, that looks at release, variables and
/readyz. Both exchange keys as OpenSSH does by default; the deploy does so once more with a quicker exchange of the
operator's own choice (`KexAlgorithms curve25519-sha256` in ssh_config), as many a team has it.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: packaging.py there would be taken for the distribution

from bench import ground  # noqa: E402  (this script runs from anywhere)
from bench.ground import AUTHOR, ENVIRONMENT, JOB, NAME, run  # noqa: E402
from deploy import contract as contracts  # noqa: E402
from deploy.artifacts import agent as builder  # noqa: E402
from deploy.artifacts import build_release  # noqa: E402
from deploy.balancer import SWITCH  # noqa: E402
from deploy.fleet import access, by_hand, cgroups, machines  # noqa: E402
from deploy.fleet.base import MachineError  # noqa: E402
from deploy.fleet.cable import Slowness  # noqa: E402
from deploy.fleet.machines import Machine  # noqa: E402

FIRST = 100  # host number of the first address; the load balancer has the one before
PACKAGES = ("haproxy",)
ACTS = ("cold", "new version", "no-op", "no-op, quick keys", "floor")
QUICK = "KexAlgorithms curve25519-sha256\n"
LOOK = """\
cd /srv/ADDRESS
echo $(readlink current) $(sha256sum current/meta.json)
exec 3<>/dev/tcp/ADDRESS/8000
printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3
head -n 1 <&3
"""
APPLICATION = """\
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1")])
    return [b"{edition}"]
"""
AS_HOST = f"""\
#!/bin/sh
# What sshd starts for every connection: the agent of the host whose address was dialled.
set -- $SSH_CONNECTION
exec /usr/bin/python3 -I /usr/lib/{NAME}/releasectl --root=/srv/$3 --name={NAME} session
"""
SET_UP = f"""
set -e
useradd --create-home --shell /bin/sh deploy
install -d -o deploy -m 700 ~deploy/.ssh
install -o deploy -m 600 ~root/.ssh/authorized_keys ~deploy/.ssh/authorized_keys
printf 'MaxStartups 500\\nMatch User deploy\\n    ForceCommand /usr/local/sbin/as-host\\n' >>/etc/ssh/sshd_config
systemctl restart ssh
for number in $(seq FROM TO); do
    ip address add NETWORK.$number/24 dev host0
    install -d -o deploy /srv/NETWORK.$number
done
install -d -o deploy /srv/NETWORK.LB/run
install -o deploy -m 644 /dev/null /srv/NETWORK.LB/run/server-state
touch {SWITCH}
setpriv --reuid deploy --regid deploy --init-groups haproxy -D -f /srv/NETWORK.LB/haproxy.cfg
"""


@dataclass(frozen=True)
class Spent:
    """What one run took: seconds by the clock, of this side's processor, of the hosts'; and MB here."""

    clock: float
    here: float
    there: float
    python: float  # the operator's process at its largest
    memory: float  # with all of its ssh: what they share counts once


class Site:
    """A machine with so many hosts on it, and a checkout that deploys to them."""

    def __init__(self, machine: Machine, given: access.Access, scratch: Path, count: int) -> None:
        self.machine, self.path, self.count = machine, scratch / f"checkout{count}", count
        network = machine.address.rpartition(".")[0]
        self.lb = f"{network}.{FIRST - 1}"
        self.addresses = [f"{network}.{FIRST + number}" for number in range(count)]
        self.given, self.ssh_config = given, scratch / "ssh_config"
        self.ssh_config.touch()
        self.variables = {"XDG_RUNTIME_DIR": str(scratch / "s"), "SLIPWAY_FLEET_SECRET_KEY": secrets.token_hex()}
        (scratch / "s").mkdir(mode=0o700, exist_ok=True)
        self._checkout(given)
        self._set_up(network)

    def _checkout(self, given: access.Access) -> None:
        ground.copy_tools(self.path)
        project = (JOB / "app/pyproject.toml").read_text(encoding="utf-8").replace('"flask", ', "")
        project = project.replace("workers = 2\nthreads = 8", "workers = 1\nthreads = 2")
        (self.path / "pyproject.toml").write_text(project, encoding="utf-8")
        hosts = "".join(
            f'[hosts.web{i}]\nroles = ["web"]\naddress = "{address}"\n\n' for i, address in enumerate(self.addresses)
        )
        known = given.known_hosts.with_name(f"known_hosts{self.count}")
        key = given.known_hosts.read_text(encoding="ascii").split(maxsplit=1)[1]
        known.write_text(f"{','.join([self.lb, *self.addresses])} {key}", encoding="ascii")
        text = ENVIRONMENT.format(access=given, lb=self.lb, hosts=hosts, canary=0, batch='"25%"')
        quiet = "[prober]\nclients = 0\n\n[variables]"
        self.known_hosts, none = known, 'config = "/dev/null"'
        text = text.replace(none, f'config = "{self.ssh_config}"')
        for old, new in ((str(given.known_hosts), str(known)), ("[variables]", quiet), (":80", ":8080")):
            text = text.replace(old, new)
        (self.path / "deploy/environments/fleet.toml").write_text(text, encoding="utf-8")
        (self.path / "lock.txt").write_text(ground.locked("gunicorn", "packaging"), encoding="utf-8")
        (self.path / "tiny").mkdir()
        (self.path / "tiny/__init__.py").write_text("", encoding="utf-8")
        run("git", "init", "--quiet", cwd=self.path)

    def _set_up(self, network: str) -> None:
        zipapp = self.path / "var/releasectl"
        builder.write(zipapp)
        self.machine.push(zipapp, f"/usr/lib/{NAME}/releasectl", 0o755)
        servers = [{"name": f"web{i}", "address": f"{address}:8000"} for i, address in enumerate(self.addresses)]
        config = ground.balancer_config(
            contracts.read(self.path),
            f"{self.lb}:8080",
            servers,
            sockets=f"/srv/{self.lb}/run",
            state=f"/srv/{self.lb}/run/server-state",
            errors="",
            user="",
        )
        by_hand.write(self.machine, {f"/srv/{self.lb}/haproxy.cfg": config, "/usr/local/sbin/as-host": AS_HOST})
        (self.machine.root / "usr/local/sbin/as-host").chmod(0o755)
        words = {"FROM": str(FIRST - 1), "TO": str(FIRST + self.count - 1), "NETWORK": network, "LB": str(FIRST - 1)}
        script = SET_UP
        for word, value in words.items():
            script = re.sub(rf"\b{word}\b", value, script)
        self.machine.run(script, timeout=120)

    def edition(self, number: int) -> None:
        """Change the application, and build it."""
        (self.path / "tiny/wsgi.py").write_text(APPLICATION.format(edition=number % 10), encoding="utf-8")
        run("git", "add", "--all", cwd=self.path)
        run("git", *AUTHOR, "commit", "--quiet", "-m", str(number), cwd=self.path)
        build_release(self.path, None, self.path / "dist")

    def floor(self) -> Spent:
        """Look at every host by hand, all at once, each by a connection of its own."""
        words = ["ssh", "-F", "/dev/null", "-l", "root", "-i", str(self.given.identity), "-o", "BatchMode=yes"]
        ssh = shlex.join([*words, "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "ControlPath=none"])
        looks = (
            f"{ssh} {a} {shlex.quote('bash -c ' + shlex.quote(LOOK.replace('ADDRESS', a)))}" for a in self.addresses
        )
        script = "".join(f"{{ {look} | grep -q ' 200 ' || kill $$; }} &\n" for look in looks)
        return self._spend("bash", "-c", f"{script}wait")

    def deploy(self, options: str = "") -> Spent:
        """Deploy what the checkout is, with all connections to be made anew."""
        self.ssh_config.write_text(options, encoding="ascii")
        return self._spend(Path(sys.prefix) / "bin/fab", "deploy:fleet", "--json")

    def _spend(self, *words: str | Path) -> Spent:
        group, there = f"bench-{os.getpid()}", cgroups.processor(self.machine.unique)
        begun = time.monotonic()
        process = subprocess.Popen(
            ["sh", "-c", f'{cgroups.entering(group)}; exec "$@"', "sh", *words],
            cwd=self.path, env={**os.environ, **self.variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        memory = Memory(group, process.pid)
        out, _ = process.communicate(timeout=1200)
        clock, here = time.monotonic() - begun, cgroups.processor(group)
        memory.stop()
        with suppress(MachineError):
            cgroups.kill(group)
        if process.returncode not in (0, 10):
            raise SystemExit(f"{self.count} hosts: exit {process.returncode}\n{out.decode()[-4000:]}")
        used = cgroups.processor(self.machine.unique) - there
        return Spent(clock, here, used, memory.python, memory.all)


class Memory(threading.Thread):
    """Looks again and again how much memory a control group's processes have for themselves."""

    def __init__(self, group: str, pid: int) -> None:
        super().__init__(daemon=True)
        self._group, self._pid, self._done = group, pid, threading.Event()
        self.python = self.all = 0.0
        self.start()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.wait(0.1):
            pids: set[int] = set()
            with suppress(OSError, IndexError):
                pids = set(map(int, (cgroups.existing(self._group)[0] / "cgroup.procs").read_text().split()))
            sizes = {pid: _kilobytes(pid, "Pss" if pid != self._pid else "Rss") for pid in pids}
            self.python = max(self.python, sizes.get(self._pid, 0) / 1000)
            self.all = max(self.all, sum(sizes.values()) / 1000)

    def stop(self) -> None:
        """Say no more."""
        self._done.set()
        self.join()


def _kilobytes(pid: int, what: str) -> int:
    with suppress(OSError):
        found = re.search(rf"^{what}: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="Deploy to many hosts.")
    parser.add_argument("--hosts", default="1,3,10,30", help="numbers of hosts, separated by commas; at most 150")
    parser.add_argument("--rounds", type=int, default=3, help="deploys of nothing, and of a new version, for each")
    parser.add_argument("--delay", type=float, default=0.0, help="round-trip time of the links, in milliseconds")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected at least 1: a new version comes after the first")
    counts = [int(word) for word in options.hosts.split(",")]
    rows: dict[tuple[int, str], list[Spent]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="sls-", dir="/tmp") as scratch,
        machines.fleet(print, "many", packages=PACKAGES) as fleet,
    ):
        machine = fleet.machines["many"]
        given = access.write(fleet, Path(scratch) / "access")
        for count in counts:
            machine.reset()
            site = Site(machine, given, Path(scratch), count)
            if options.delay:
                machine.cable.slow(Slowness(delay=options.delay / 2000))
            for number in range(options.rounds + 1):
                site.edition(number)
                does = {
                    "cold" if number == 0 else "new version": site.deploy,
                    "no-op": site.deploy,
                    "no-op, quick keys": partial(site.deploy, QUICK),
                    "floor": site.floor,
                }
                for act, do in does.items():
                    rows.setdefault((count, act), []).append(do())
                    print(f"  {count}, {act}: {rows[count, act][-1]}", file=sys.stderr)
    print(f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} processors for all, load average {os.getloadavg()[0]:.1f}; "
          f"round-trip time {options.delay:g} ms\n")  # fmt: skip
    report(rows, counts)
    return 0


def report(rows: dict[tuple[int, str], list[Spent]], counts: list[int]) -> None:
    """Print medians, and what of each grows with the number of hosts."""
    head = ("hosts", "", "s", "CPU here", "a host", "CPU there", "a host", "MB", "with ssh")
    print("{:>5} {:<17}{:>8}{:>10}{:>8}{:>11}{:>8}{:>7}{:>10}".format(*head))
    for act in ACTS:
        for count in counts:
            clock, here, there, python, memory = (
                statistics.median(getattr(spent, name) for spent in rows[count, act])
                for name in ("clock", "here", "there", "python", "memory")
            )
            spent = f"{clock:>8.2f}{here:>10.2f}{here / count:>8.3f}{there:>11.2f}{there / count:>8.3f}"
            print(f"{count:>5} {act:<17}{spent}{python:>7.0f}{memory:>10.0f}")
        print()
    for count in counts:
        floor = statistics.median(s.clock for s in rows[count, "floor"])
        for act in ("no-op", "no-op, quick keys"):
            ratio = statistics.median(s.clock for s in rows[count, act]) / floor
            print(f"{act} to {count} hosts takes {ratio:.2f} times as long as the floor")
    least, most = min(counts), max(counts)
    for act in ("no-op", "new version"):
        few, many = (statistics.median(s.clock for s in rows[count, act]) for count in (least, most))
        growth, allowed = many / few, most / least / 5
        if allowed > 1:
            said = f"{act}: {most / least:g} times the hosts take {growth:.1f} times as long"
            print(f"{'met   ' if growth < allowed else 'MISSED'} {said}   goal: below {allowed:g}")
    python, memory = (max(getattr(s, what) for act in ACTS for s in rows[most, act]) for what in ("python", "memory"))
    said = f"{most} hosts: {python:.0f} MB, with all ssh {memory:.0f} MB"
    verdict = "seen  " if most < 100 else "met   " if memory < 200 else "MISSED"
    print(f"{verdict} {said}   goal: below 200 MB at 100")


if __name__ == "__main__":
    if os.geteuid() or not shutil.which("systemd-nspawn"):
        raise SystemExit("root and systemd-nspawn are needed: packaging/workstation.sh machines")
    raise SystemExit(main())
