"""Machines come, go and leave nothing, however their maker ended."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.fleet import machines, processes
from deploy.fleet.base import MachineError, obstacle
from deploy.fleet.cgroups import CGROUPS, processor
from deploy.fleet.machines import Fleet
from deploy.fleet.network import Network
from tests.deploy.agent.kit import eventually
from tests.support.repository import ROOT


def traces(fleet: Path, network: Network) -> list[str]:
    """What is left of a fleet."""
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if f"{fleet}/" in line]
    found += [str(path) for path in (fleet, Path(f"/sys/class/net/{network.bridge}")) if path.exists()]
    found += [str(group) for group in CGROUPS.glob(f"*/slipway-s{network.number}-*")]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return found + [line for line in tables.splitlines() if line.endswith(f" {network.table}")]


def test_several_machines_see_each_other_and_the_host(fleet: Fleet) -> None:
    """Each with a name, an address, an identity and a host key of its own."""
    one, two = fleet.add("a"), fleet.add("b")
    assert one.run("hostname").stdout == "a\n"
    assert two.run(f"timeout 20 bash -c '</dev/tcp/{one.address}/22'").returncode == 0
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert one.run(f"cat {path}").stdout != two.run(f"cat {path}").stdout


def test_its_processor_time_is_counted_and_nobody_else_s(fleet: Fleet) -> None:
    """Also that of processes which have ended, which is what a benchmark asks for."""
    busy, idle = fleet.add("p1"), fleet.add("p2")
    before = processor(busy.unique), processor(idle.unique)
    spin = "import time\nwhile time.process_time() < 0.5: pass"
    busy.run(["systemd-run", "--quiet", "--wait", "python3", "-c", spin])  # what `run` starts itself stays outside
    used, other = processor(busy.unique) - before[0], processor(idle.unique) - before[1]
    assert used >= 0.5 > other
    with pytest.raises(MachineError, match="no control group of s0-nobody"):
        processor("s0-nobody")


def test_a_reset_forgets_everything(fleet: Fleet) -> None:
    machine = fleet.add("c")
    machine.run("touch /etc/kept")
    machine.snapshot()
    machine.boot()
    machine.run("rm /etc/kept; touch /etc/litter")
    machine.reset()
    assert machine.run("ls /etc/kept /etc/litter", check=False).stdout == "/etc/kept\n"


def test_a_reboot_that_is_asked_for_inside_comes_back_with_its_address(fleet: Fleet) -> None:
    """Of several machines at once, without anybody outside doing anything for it."""
    both = [fleet.add("r1"), fleet.add("r2")]
    before = [machine.pid for machine in both]
    for machine in both:
        machine.run("systemctl reboot", check=False)
    for machine, pid in zip(both, before, strict=True):
        assert eventually(lambda m=machine, p=pid: m.pid not in (0, p), 60)  # type: ignore[misc]
        assert eventually(lambda m=machine: m.state() == "running", 60)  # type: ignore[misc]
    assert both[0].run("timeout 20 bash -c 'head -c 4 </dev/tcp/r2/22'").stdout == "SSH-"
    assert both[1].run("ip -4 -o address show dev host0").stdout.count(both[1].address) == 1


def test_a_machine_that_switches_itself_off_is_off_until_it_is_booted(fleet: Fleet) -> None:
    machine = fleet.add("off")
    machine.run("systemctl poweroff", check=False)
    assert eventually(lambda: machine.state() == "off", 60)
    with pytest.raises(machines.MachineError, match="switched off"):
        machine.run("true")
    machine.boot()
    machine.boot()
    assert machine.state() == "running"


def test_power_off_kills_everything_at_once(fleet: Fleet) -> None:
    """And what was written stays, as on a disk."""
    machine = fleet.add("d")
    length = 10**6 + secrets.randbelow(10**6)  # a process that only this test can have
    machine.run(f"echo written >/root/note; systemd-run --quiet sleep {length}")
    sleeping = ["pgrep", "-f", f"sleep {length}$"]
    assert eventually(lambda: subprocess.run(sleeping, capture_output=True, check=False).returncode == 0)
    known, keeper = processes.identity(machine.pid), (machine.folder / "keeper").read_text().strip()
    assert known
    machine.power_off()
    assert not processes.alive(known)
    assert subprocess.run(sleeping, capture_output=True, check=False).returncode == 1
    assert not processes.present(keeper), "a zombie stays"
    machine.boot()
    assert machine.run("cat /root/note").stdout == "written\n"


def test_a_killed_fleet_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    """kill -9 of whoever made the machines: whoever comes next finds and removes them, and only them."""
    if obstacle():
        pytest.skip(str(obstacle()))
    code = (
        "import sys, time; from pathlib import Path; from deploy.fleet import machines\n"
        "with machines.fleet(print, 'lost', fleets=Path(sys.argv[1])) as fleet:\n"
        "    print('up', fleet.network.number, flush=True); time.sleep(600)"
    )
    maker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with maker:
        assert maker.stdout is not None
        number = next(int(line.split()[1]) for line in maker.stdout if line.startswith("up "))
        os.kill(maker.pid, signal.SIGKILL)
    network = Network(number)
    assert traces(tmp_path / str(number), network)
    assert machines.sweep(tmp_path) == [number]
    assert eventually(lambda: not traces(tmp_path / str(number), network)), traces(tmp_path / str(number), network)


def test_a_name_that_does_not_fit_is_refused(fleet: Fleet) -> None:
    with pytest.raises(machines.MachineError, match="too long"):
        fleet.add("a-very-long-name")


def test_what_fails_inside_says_so(fleet: Fleet) -> None:
    machine = fleet.add("e")
    with pytest.raises(machines.MachineError) as caught:
        machine.run("echo the reason >&2; exit 3")
    assert "ended with 3" in str(caught.value)
    assert caught.value.problems == ("the reason",)
