"""Boot machines, reach them, take their power away, and clear up after whoever could not.

A fleet takes a numbered slot under `/var/lib/slipway/fleets/`; the slot's number is its network. Everything a slot has
(processes, mounts, bridge) can be found from that folder alone, so that a killed run leaves nothing for ever: whoever
takes a slot next, or asks for `sweep`, clears it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.fleet import access as accesses
from deploy.fleet import processes
from deploy.fleet.base import PATH, MachineError, Say, require
from deploy.fleet.layers import lower
from deploy.fleet.network import Network, do

FLEETS = Path("/var/lib/slipway/fleets")
SLOTS = 200
CGROUPS = Path("/sys/fs/cgroup")
BOOT = 30.0  # seconds; half a second is usual
KILL = 10.0  # seconds until killed processes must be gone
HOST_KEY = "ssh_host_ed25519_key"
READY = ("running", "degraded")


@dataclass
class Machine:
    """One machine: an overlay on the base, which boots in about a second."""

    name: str
    folder: Path
    lower: str  # what its overlay lies on: folders, the topmost first
    network: Network
    address: str
    pid: int = 0  # of its first process, as seen from outside
    admitted: list[str] = field(default_factory=list)  # public keys that let root in
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "LANG": "C.UTF-8"})

    @property
    def root(self) -> Path:
        """Where its file system is, as seen from outside."""
        return self.folder / "root"

    @property
    def unique(self) -> str:
        """Its name among all machines of this computer: host names may repeat from fleet to fleet."""
        return f"s{self.network.number}-{self.name}"

    def boot(self) -> None:
        """Switch it on and wait until its systemd has started everything.

        Raises: MachineError with the last lines of its console.
        """
        self._mount()
        self._own()
        nspawn = self._spawn()
        (self.folder / "nspawn").write_text(f"{processes.identity(nspawn)}\n", encoding="ascii")
        end = time.monotonic() + BOOT
        self.pid = self._await(lambda: processes.init_of(nspawn), nspawn, end)
        link = f"vb-{self.unique}"
        self._await(lambda: Path(f"/sys/class/net/{link}").exists(), nspawn, end)
        self.network.attach(link, self.pid, self.address)
        self._await(lambda: self._state() in READY, nspawn, end)

    def _spawn(self) -> int:
        """Start systemd-nspawn in control groups of the machine's own, and in a session that outlives ours."""
        # With --keep-unit all machines would share one group, and the same unit of two machines would be the same
        # group: stopping it on one machine kills it on the other (measured).
        enter = "; ".join(f"mkdir -p {path} && echo $$ >{path}/cgroup.procs" for path in self._cgroups())
        options = f"--quiet --register=no --keep-unit --resolv-conf=off --hostname={self.name} --machine={self.unique}"
        command = f"{enter}; exec systemd-nspawn {options} --network-bridge={self.network.bridge} -D {self.root} --boot"
        console = str(self.folder / "console.log")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        return os.posix_spawn("/bin/sh", ["sh", "-c", command], {"PATH": PATH}, file_actions=actions, setsid=True)

    def _await(self, check: Callable[[], int | bool | None], nspawn: int, end: float) -> int:
        while True:
            found = check()
            if found:
                return int(found)
            if processes.identity(nspawn) is None or time.monotonic() > end:
                lines = (self.folder / "console.log").read_text(encoding="utf-8", errors="replace").splitlines()
                raise MachineError(f"{self.name} did not boot", problems=tuple(lines[-8:]))
            time.sleep(0.02)

    def _state(self) -> str:
        return self.run("systemctl is-system-running", check=False).stdout.strip()

    def _mount(self) -> None:
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not self.root.is_mount():
            layers = f"lowerdir={self.lower},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
            do("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))

    def _own(self) -> None:
        """Give it what no two machines may share."""
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")
        if not (etc / "machine-id").read_text(encoding="ascii").strip():
            (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
        self._lend_host_key()
        for public in self.admitted:
            self.admit(public)

    def _lend_host_key(self) -> None:
        """Give it its host key: the same one after each reset, so that nobody takes it for another machine."""
        kept = self.folder / HOST_KEY
        if not kept.with_suffix(".pub").exists():
            kept.unlink(missing_ok=True)
            do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{self.name}", "-f", str(kept))
        target = self.root / "etc/ssh" / HOST_KEY
        if target.parent.is_dir() and not target.exists():
            for name, mode in ((HOST_KEY, 0o600), (f"{HOST_KEY}.pub", 0o644)):
                self.push(kept.with_name(name), f"/etc/ssh/{name}", mode)

    @property
    def host_key(self) -> str:
        """What its sshd proves to be: kind and key, as known_hosts has them."""
        return " ".join((self.folder / f"{HOST_KEY}.pub").read_text(encoding="ascii").split()[:2])

    def admit(self, public: str) -> None:
        """Let the owner of a key in as root, now and after each reset."""
        if public not in self.admitted:
            self.admitted.append(public)
        keys = self.root / "root/.ssh/authorized_keys"
        if self.root.is_mount() and not (keys.exists() and public in keys.read_text(encoding="utf-8").splitlines()):
            keys.parent.mkdir(mode=0o700, exist_ok=True)
            with keys.open("a", encoding="ascii") as file:
                file.write(f"{public}\n")
            keys.chmod(0o600)

    def _cgroups(self) -> list[Path]:
        """Name its control groups: one in each hierarchy (v1, hybrid), or the one there is (v2)."""
        name = f"slipway-{self.unique}"
        if (CGROUPS / "cgroup.procs").exists():
            return [CGROUPS / name]
        # cpuset is left out: a new group there has neither processors nor memory, and refuses processes.
        chosen = ("systemd", "unified", "cpu", "cpuacct", "memory", "pids")
        return [CGROUPS / part / name for part in chosen if (CGROUPS / part / "cgroup.procs").exists()]

    def run(
        self, command: str | Sequence[str], *, check: bool = True, data: bytes | str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root: a line for sh, or words.

        Raises: MachineError when it fails, unless `check` is false.
        """
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        text = data.decode("latin-1") if isinstance(data, bytes) else data
        done = subprocess.run(
            [*self.enter(), *words], input=text or "", capture_output=True, text=True, check=False, timeout=timeout,
            env=self.environment, encoding="latin-1" if isinstance(data, bytes) else "utf-8",
        )  # fmt: skip
        if check and done.returncode != 0:
            said = tuple((done.stderr or done.stdout).strip().splitlines()[-8:])
            raise MachineError(f"{self.name}: `{command}` ended with {done.returncode}", problems=said)
        return done

    def enter(self) -> list[str]:
        """Give the words that put a command into the machine."""
        if not self.pid:
            raise MachineError(f"{self.name} is switched off", hint="boot it")
        return ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd", "--"]

    def push(self, source: Path, target: str, mode: int | None = None) -> None:
        """Put a file or a folder into the machine, owned by root."""
        inside = self.root / target.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, inside, symlinks=True, dirs_exist_ok=True)
        else:
            aside = inside.with_name(f".{inside.name}.pushed")
            shutil.copyfile(source, aside)
            aside.chmod(source.stat().st_mode & 0o777 if mode is None else mode)
            aside.rename(inside)

    def power_off(self) -> None:
        """Take its power away: nothing inside gets to know."""
        _end(self.folder)
        self.pid = 0

    def shut_down(self, timeout: float = 30.0) -> None:
        """Let it stop everything and switch itself off, as `systemctl poweroff` does."""
        known = (self.folder / "nspawn").read_text(encoding="ascii")
        self.run("systemctl poweroff", check=False)
        end = time.monotonic() + timeout
        while processes.alive(known) and time.monotonic() < end:
            time.sleep(0.02)
        self.power_off()

    def snapshot(self) -> None:
        """Shut it down and make what is on it now the state that `reset` comes back to."""
        self.shut_down()
        _unmount(self.root)
        layer = self.folder / f"layer-{len(list(self.folder.glob('layer-*')))}"
        (self.folder / "upper").rename(layer)
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        self.lower = f"{layer}:{self.lower}"

    def reset(self) -> None:
        """Forget everything that happened on it since it was made or its last snapshot, and boot it anew."""
        self.power_off()
        _unmount(self.root)
        for name in ("upper", "work"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.boot()


@dataclass
class Fleet:
    """Machines on one private network."""

    folder: Path
    network: Network
    lower: str  # what its machines lie on
    machines: dict[str, Machine] = field(default_factory=dict)
    access: dict[Path, str] = field(default_factory=dict)  # directories that let in, and their public keys

    def add(self, name: str, address: int | None = None) -> Machine:
        """Boot one more machine; `address` is its host number, the next free one unless told.

        Raises: MachineError.
        """
        if len(f"vb-s{self.network.number}-{name}") > 15:  # IFNAMSIZ, less the final NUL
            raise MachineError(f"{name!r} is too long for a machine's name: its network link may have 15 characters")
        folder = self.folder / "machines" / name
        folder.mkdir(parents=True, exist_ok=True)
        machine = Machine(name, folder, self.lower, self.network, self._place(name, address))
        self.machines[name] = machine
        machine.boot()
        for directory in self.access:
            accesses.write(self, directory)
        return machine

    def _place(self, name: str, number: int | None) -> str:
        """Choose an address that no other machine has."""
        taken = {machine.address: machine.name for machine in self.machines.values() if machine.name != name}
        for host in (number,) if number else range(2, 255):
            address = self.network.address(host)
            if address not in taken:
                return address
        where = f"{address} is {taken[address]}'s" if number else "all its addresses are taken"
        raise MachineError(f"no address for {name} in {self.network.subnet}: {where}")

    def close(self) -> None:
        """Switch everything off and remove it."""
        _clear(self.folder, self.network)


def take(say: Say, fleets: Path = FLEETS, packages: tuple[str, ...] = (), cached: tuple[str, ...] = ()) -> Fleet:
    """Take a free slot for as long as this process lives; its machines have `packages`, and `cached` ones at hand.

    Raises: MachineError.
    """
    require()
    lying = lower(say, packages, cached)
    with _locked(fleets):
        sweep(fleets)
        for number in range(SLOTS):
            folder, network = fleets / str(number), Network(number)
            if folder.exists() or network.taken():
                continue
            folder.mkdir()
            (folder / "owner").write_text(f"{processes.identity(os.getpid())}\n", encoding="ascii")
            try:
                network.up()
            except MachineError:
                _clear(folder, network)
                raise
            return Fleet(folder, network, lying)
    raise MachineError(f"all {SLOTS} places for fleets are taken", hint=f"look at {fleets}")


@contextmanager
def fleet(
    say: Say, *names: str, fleets: Path = FLEETS, packages: tuple[str, ...] = (), cached: tuple[str, ...] = ()
) -> Iterator[Fleet]:
    """Give machines of these names, and remove them at the end.

    `packages` are installed on all of them before they boot, `cached` ones can be installed without the network: both
    are made once and kept, so that asking for the same ones again costs nothing.
    """
    with ExitStack() as stack:
        taken = take(say, fleets, packages, cached)
        stack.callback(taken.close)
        for name in names:
            taken.add(name)
        yield taken


def sweep(fleets: Path = FLEETS) -> list[int]:
    """Clear away fleets whose owner is gone; give their numbers. A fleet without an owner is kept."""
    cleared = []
    for folder in sorted(fleets.iterdir()) if fleets.exists() else ():
        owner = folder / "owner"
        if folder.name.isdigit() and owner.exists() and not processes.alive(owner.read_text(encoding="ascii")):
            _clear(folder, Network(int(folder.name)))
            cleared.append(int(folder.name))
    return cleared


@contextmanager
def _locked(fleets: Path) -> Iterator[None]:
    fleets.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (fleets / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _clear(folder: Path, network: Network) -> None:
    for machine in (folder / "machines").glob("*"):
        _end(machine)
        _unmount(machine / "root")
    network.down()
    shutil.rmtree(folder)


def _end(machine: Path) -> None:
    """Kill all of a machine's processes.

    By its control groups, which know them all however the run before ended: killing nspawn alone leaves the machine's
    own systemd running (measured). The marker covers the moment before nspawn enters its group.
    """
    marker = machine / "nspawn"
    with suppress(FileNotFoundError):
        processes.kill(marker.read_text(encoding="ascii"))
    name = f"slipway-s{machine.parents[1].name}-{machine.name}"
    groups = [CGROUPS / name, *CGROUPS.glob(f"*/{name}")]
    end = time.monotonic() + KILL
    while sum(map(_kill_members, groups)):
        if time.monotonic() > end:
            raise MachineError(f"{machine.name}: processes in {groups[-1]} can't be killed")
        time.sleep(0.01)
    for group in groups:
        _remove_group(group)
    marker.unlink(missing_ok=True)


def _kill_members(group: Path) -> int:
    """Kill what runs in a control group and those inside; give how many there were."""
    members = set()
    for listing in group.rglob("cgroup.procs"):
        with suppress(OSError):
            members |= {int(word) for word in listing.read_text(encoding="ascii").split()}
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(members)


def _remove_group(group: Path) -> None:
    """Remove a control group and those inside: they can be removed once nothing runs in them."""
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()


def _unmount(root: Path) -> None:
    while root.is_mount():
        do("umount", "--lazy", str(root))
