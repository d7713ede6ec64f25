"""One machine: switched on and off, reached, reset. Everything about it can be found from its folder.

machine.json   what it was made with          disk.img, disk/, root/   its disk and its root file system
keeper         who runs it, while it is on    console.log              what it said on its console
ssh_host_*     what its sshd proves to be     relay                    what slows its link, while it is slow
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.fleet import cgroups, processes
from deploy.fleet.base import PATH, MachineError
from deploy.fleet.cable import Cable
from deploy.fleet.disk import Disk
from deploy.fleet.network import BITS, Network, do

BOOT = 90.0  # seconds; half a second is usual, twenty on a computer that has much else to do
HOST_KEY = "ssh_host_ed25519_key"
READY = ("running", "degraded")
SAID = (*READY, "initializing", "starting", "maintenance", "stopping")
REBOOT = 133  # how nspawn ends when the machine asked for a reboot
WAITING = ("sh", "-c", '"$@"; exit $?', "sh")
OURS = "# of the fleet"  # ends the lines of /etc/hosts that are written here
# The address is the machine's own business: it comes back with each boot, whoever asked for it.
ADDRESS = """\
[Unit]
Description=Address of this machine
DefaultDependencies=no
After=network-pre.target
Before=network.target network-online.target shutdown.target
Wants=network.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set lo up
ExecStart=ip address replace {address}/{bits} dev host0
ExecStart=ip link set host0 up
ExecStart=ip route replace default via {gateway}

[Install]
WantedBy=multi-user.target
"""


@dataclass
class Machine:
    """One machine: an overlay on the base, which boots in about a second."""

    name: str
    folder: Path
    lower: str  # what its overlay lies on: folders, the topmost first
    network: Network
    address: str
    peers: dict[str, Machine] = field(default_factory=dict)  # the fleet, itself among them
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "LANG": "C.UTF-8"})

    @property
    def disk(self) -> Disk:
        """Where it keeps what it writes."""
        return Disk(self.folder)

    @property
    def root(self) -> Path:
        """Where its file system is, as seen from outside."""
        return self.disk.root

    @property
    def unique(self) -> str:
        """Its name among all machines of this computer: host names may repeat from fleet to fleet."""
        return f"s{self.network.number}-{self.name}"

    @property
    def cable(self) -> Cable:
        """What connects it with the others."""
        return Cable(self.folder, self.unique, self.network)

    @property
    def pid(self) -> int:
        """Its first process, as seen from outside; 0 while it is off."""
        keeper = self._keeper()
        return processes.init_of(keeper) or 0 if keeper else 0

    def boot(self) -> None:
        """Switch it on, unless it is, and wait until its systemd has started everything.

        Raises: MachineError with the last lines of its console.
        """
        if self._keeper() and self._await(lambda: self.state() in READY):
            return
        self.power_off()  # what a run before left, when it was killed between starting and noting it
        self.disk.mount(self.lower)
        self._own()
        keeper = self._spawn()
        noted = self.folder / ".keeper"
        noted.write_text(f"{processes.identity(keeper)}\n", encoding="ascii")
        noted.rename(self.folder / "keeper")
        if not self._await(lambda: self.state() in READY):
            raise self._silent()

    def reboot(self) -> None:
        """Let it boot anew, as `systemctl reboot` does, and wait until it is back.

        Raises: MachineError with the last lines of its console.
        """
        before = self.pid
        self.run("systemctl reboot", check=False)
        if not self._await(lambda: self.pid not in (0, before) and self.state() in READY):
            raise self._silent()

    def state(self) -> str:
        """Say what its systemd says of it: `starting`, `running`, `degraded`; or `off`, `frozen`."""
        if not self.pid:
            return "off"
        if cgroups.is_frozen(self.unique):
            return "frozen"
        if processes.name(self.pid).startswith("systemd-shutdow"):
            # Don't ask: at shutdown systemd waits 10 s for each process whose parent is outside (measured).
            return "stopping"
        with suppress(MachineError):  # it went off meanwhile
            said = self.run("systemctl is-system-running", check=False).stdout.strip()
            return said if said in SAID else "starting"
        return "off"

    def _spawn(self) -> int:
        """Start systemd-nspawn in control groups of the machine's own, and in a session that outlives ours.

        Give the number of its keeper, a shell that starts it again when the machine reboots.
        """
        options = f"--quiet --register=no --keep-unit --resolv-conf=off --hostname={self.name} --machine={self.unique}"
        nspawn = f"systemd-nspawn {options} --network-bridge={self.network.bridge} -D '{self.root}' --boot"
        # Whoever takes its power away removes the token before looking into the groups: a keeper that enters them later
        # because its maker was killed at this moment, finds that it is not wanted.
        token = uuid.uuid4().hex
        (self.folder / "token").write_text(f"{token}\n", encoding="ascii")
        wanted = f"read token <'{self.folder / 'token'}' && [ $token = {token} ] || exit 1"
        again = f"while {nspawn}; code=$?; [ $code = {REBOOT} ]; do :; done; exit $code"
        command = f"{cgroups.entering(self.unique)}; {wanted}; {again}"
        return processes.spawn(["/bin/sh", "-c", command], self.folder / "console.log")

    def _keeper(self) -> int:
        """Give the number of the process that keeps it on; 0 when it is off."""
        with suppress(FileNotFoundError):
            known = (self.folder / "keeper").read_text(encoding="ascii").strip()
            return int(known.split()[1]) if processes.alive(known) else 0
        return 0

    def _await(self, check: Callable[[], bool]) -> bool:
        """Wait for something that a machine does when it boots; say whether it did, or went off before."""
        end = time.monotonic() + BOOT
        while not check():
            if not self._keeper():
                return False
            if time.monotonic() > end:
                raise self._silent()
            time.sleep(0.02)
        return True

    def _silent(self) -> MachineError:
        lines = (self.folder / "console.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return MachineError(f"{self.name} did not boot", problems=tuple(lines[-8:]))

    def _own(self) -> None:
        """Give it what no two machines may share."""
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")
        if not (etc / "machine-id").read_text(encoding="ascii").strip():
            (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
        unit = etc / "systemd/system/host0.service"
        unit.write_text(ADDRESS.format(address=self.address, bits=BITS, gateway=self.network.gateway), encoding="ascii")
        wanted = unit.parent / "multi-user.target.wants" / unit.name
        wanted.parent.mkdir(exist_ok=True)
        if not wanted.is_symlink():
            wanted.symlink_to(f"../{unit.name}")
        self._lend_host_key()
        self.meet()
        self._let_in()

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

    def meet(self) -> None:
        """Tell it the names and addresses of its fleet; other lines of its /etc/hosts stay."""
        if not self.root.is_mount():
            return
        hosts = self.root / "etc/hosts"
        there = hosts.read_text(encoding="utf-8").splitlines() if hosts.exists() else []
        lines = [line for line in there if not line.endswith(OURS)]
        lines += [f"127.0.0.1 localhost {OURS}"]
        lines += [f"{machine.address} {machine.name} {OURS}" for machine in (self.peers or {self.name: self}).values()]
        if lines != there:
            hosts.write_text("\n".join([*lines, ""]), encoding="utf-8")

    def admit(self, public: str) -> None:
        """Let the owner of a key in as root, now and after each reset."""
        _add_lines(self.folder / "admitted", [public])
        if self.root.is_mount():
            self._let_in()

    def _let_in(self) -> None:
        if (self.folder / "admitted").exists():
            keys = self.root / "root/.ssh/authorized_keys"
            keys.parent.mkdir(mode=0o700, exist_ok=True)
            _add_lines(keys, (self.folder / "admitted").read_text(encoding="ascii").splitlines())

    def run(
        self, command: str | Sequence[str], *, check: bool = True, data: bytes | str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root: a line for sh, or words.

        Raises: MachineError when it fails, unless `check` is false, and when it takes too long.
        """
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        text = data.decode("latin-1") if isinstance(data, bytes) else data
        try:
            done = subprocess.run(
                [*self.enter(), *words], input=text or "", capture_output=True, text=True, check=False, timeout=timeout,
                env=self.environment, encoding="latin-1" if isinstance(data, bytes) else "utf-8",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise MachineError(f"{self.name}: `{command}` did not end within {timeout:g} s") from None
        if check and done.returncode != 0:
            said = tuple((done.stderr or done.stdout).strip().splitlines()[-8:])
            raise MachineError(f"{self.name}: `{command}` ended with {done.returncode}", problems=said)
        return done

    def enter(self) -> list[str]:
        """Give the words that put a command into the machine.

        Raises: MachineError when it is off.
        """
        pid = self.pid
        if not pid:
            raise MachineError(f"{self.name} is switched off", hint="boot it")
        # nsenter must not be the one who waits: it stops itself for good when systemd stops all processes at shutdown,
        # and leaves a zombie that keeps the machine from going off (measured). A shell just waits.
        return ["nsenter", "--target", str(pid), "--all", "--root", "--wd", "--no-fork", "--", *WAITING]

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
        """Take its power away: nothing inside gets to know.

        By its control groups, which know all of its processes: killing nspawn alone leaves the machine's own systemd
        running (measured). The keeper is killed first, for it may not have entered its groups yet.
        """
        (self.folder / "token").unlink(missing_ok=True)
        keeper = self.folder / "keeper"
        with suppress(FileNotFoundError):
            processes.kill(keeper.read_text(encoding="ascii"))
        cgroups.kill(self.unique)
        self.cable.unplug()
        keeper.unlink(missing_ok=True)

    def shut_down(self, timeout: float = 30.0) -> None:
        """Let it stop everything and switch itself off, as `systemctl poweroff` does."""
        self.run("systemctl poweroff", check=False)
        end = time.monotonic() + timeout
        while self._keeper() and time.monotonic() < end:
            time.sleep(0.02)
        self.power_off()

    def snapshot(self) -> None:
        """Shut it down and make what is on it now the state that `reset` comes back to."""
        self.shut_down()
        self.disk.keep()

    def reset(self) -> None:
        """Forget everything that happened on it since it was made or its last snapshot, and boot it anew."""
        self.power_off()
        self.disk.wipe()
        self.boot()

    def remove(self) -> None:
        """Switch it off and take all of it away but its folder."""
        self.power_off()
        self.disk.unmount()


def _add_lines(path: Path, lines: Sequence[str]) -> None:
    """Add the lines that a file lacks; nobody else may read it."""
    there = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    missing = [line for line in lines if line not in there]
    if missing:
        aside = path.with_name(f".{path.name}.new")
        aside.touch(mode=0o600)
        aside.write_text("\n".join([*there, *missing, ""]), encoding="utf-8")
        aside.rename(path)
