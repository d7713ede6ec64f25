"""Each fault is caused for real, seen from outside, and undone. Only lower bounds are timed: those hold everywhere."""

from __future__ import annotations

import errno
import socket
import subprocess
import time

import pytest

from deploy.fleet import clock, faults
from deploy.fleet.cable import Slowness
from deploy.fleet.machines import Fleet, Machine, MachineError
from tests.deploy.agent.kit import eventually

GONE = 1.0  # seconds after which a connection that should not be made counts as not made


@pytest.fixture(scope="module")
def machines(fleet: Fleet) -> tuple[Machine, Machine]:
    return fleet.add("sick"), fleet.add("well")


@pytest.fixture
def sick(machines: tuple[Machine, Machine]) -> Machine:
    faults.heal(machines[0])
    return machines[0]


@pytest.fixture
def well(machines: tuple[Machine, Machine]) -> Machine:
    return machines[1]


def answers(machine: Machine, patience: float = 20) -> bool:
    """Whether a machine's sshd greets this computer."""
    try:
        with socket.create_connection((machine.address, 22), patience) as connection:
            connection.settimeout(patience)
            return connection.recv(4) == b"SSH-"
    except TimeoutError:
        return False


def reaches(one: Machine, two: Machine, patience: float = 20) -> bool:
    """Whether a machine's sshd greets another machine."""
    return one.run(f"timeout {patience} bash -c 'head -c 4 </dev/tcp/{two.name}/22'", check=False).stdout == "SSH-"


def test_a_frozen_machine_stands_still_and_goes_on(sick: Machine) -> None:
    sick.run(
        "systemd-run --quiet --unit=ticking sh -c 'i=0; while :; do echo $((i+=1)) >/root/ticks; sleep 0.01; done'"
    )
    ticks = sick.root / "root/ticks"
    assert eventually(lambda: ticks.exists() and ticks.read_text() != "")
    faults.freeze(sick)
    assert (sick.state(), faults.seen(sick)) == ("frozen", ["frozen"])
    before = ticks.read_text()
    assert not answers(sick, GONE), "the kernel takes the connection, nobody speaks"
    assert ticks.read_text() == before
    faults.thaw(sick)
    assert eventually(lambda: ticks.read_text() not in ("", before))
    assert answers(sick)
    sick.run("systemctl stop ticking")


def test_a_machine_that_is_frozen_can_lose_its_power(sick: Machine) -> None:
    faults.freeze(sick)
    sick.power_off()
    sick.boot()
    assert answers(sick)
    assert faults.seen(sick) == []


def test_a_cut_machine_reaches_nobody_also_after_a_reboot(sick: Machine, well: Machine) -> None:
    assert reaches(sick, well)
    sick.cable.cut()
    assert not answers(sick, GONE)
    assert not reaches(sick, well, GONE)
    sick.reboot()
    assert not reaches(well, sick, GONE)
    assert answers(well), "the others are not affected"
    assert faults.heal(sick) == ["cut off"]
    assert eventually(lambda: reaches(well, sick))
    assert answers(sick)


def test_a_slow_cable_delays(sick: Machine, well: Machine) -> None:
    sick.cable.slow(Slowness(delay=0.2))
    began = time.monotonic()
    assert answers(sick)
    assert time.monotonic() - began >= 2 * 2 * 0.2, "there and back, to connect and to be greeted"
    assert faults.seen(sick) == ["slow: 200 ms"]
    assert faults.seen(well) == []
    assert faults.heal(sick) == ["slow: 200 ms"]
    assert (faults.seen(sick), answers(sick)) == ([], True)


def test_a_slow_cable_limits(sick: Machine) -> None:
    sick.cable.slow(Slowness(rate=200_000))
    with socket.create_server((sick.network.gateway, 0)) as server:
        port = server.getsockname()[1]
        send = f"head -c 300000 /dev/zero >/dev/tcp/{sick.network.gateway}/{port}"
        with subprocess.Popen([*sick.enter(), "bash", "-c", send], env=sick.environment):
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                connection.recv(1)
                began = time.monotonic()
                assert sum(map(len, iter(lambda: connection.recv(65536), b""))) == 299_999
    assert time.monotonic() - began >= 200_000 / 200_000, "of 300 kB, what the first packets bring is not waited for"


def test_a_cable_that_loses_everything_lets_nothing_through(sick: Machine) -> None:
    sick.cable.slow(Slowness(loss=1))
    assert not answers(sick, GONE)
    sick.cable.slow(Slowness(loss=0.05))
    assert answers(sick, 60), "what is lost now and then is sent again"


def test_a_machine_that_is_switched_off_has_no_cable_to_slow(sick: Machine) -> None:
    sick.power_off()
    with pytest.raises(MachineError, match="switched off"):
        sick.cable.slow(Slowness(delay=1))
    sick.boot()


def test_a_full_disk_refuses_to_be_written(sick: Machine, well: Machine) -> None:
    sick.disk.fill()
    write = f"head -c 1000000 /dev/zero >/opt/data || exit {errno.ENOSPC}"
    refused = sick.run(write, check=False)
    assert refused.returncode == errno.ENOSPC
    assert "No space left on device" in refused.stderr
    assert "100%" in sick.run("df /").stdout
    assert well.run(write).returncode == 0, "the others' disks, and this computer's, are not full"
    assert faults.heal(sick) == ["disk full"]
    assert sick.run(f"{write}; stat -c %s /opt/data").stdout == "1000000\n"


def test_a_disk_can_be_nearly_full(sick: Machine) -> None:
    sick.disk.fill(left=10 * 2**20)
    assert 5 * 2**20 < sick.disk.space()[1] <= 10 * 2**20
    sick.run("head -c 1000000 /dev/zero >/opt/data")


def test_a_stepped_clock_is_seen_by_all_that_starts_and_by_nobody_else(sick: Machine, well: Machine) -> None:
    """By hardened units and behind sudo as well; durations and sleeps are right."""
    hardened = "systemd-run --quiet --wait --pipe -p DynamicUser=yes -p MemoryDenyWriteExecute=yes"
    program = "import time; t = time.monotonic(); time.sleep(0.1); print(int(time.time()), time.monotonic() - t < 60)"
    clock.step(sick, 7 * 86400, print)
    for command in ("date +%s", "sudo -u nobody date +%s", f"{hardened} python3 -c '{program}'"):
        said = sick.run(command).stdout.split()
        assert abs(int(said[0]) - time.time() - 7 * 86400) < 3600
        assert said[1:] in ([], ["True"])
    assert abs(int(well.run("date +%s").stdout) - time.time()) < 3600

    running = [*sick.enter(), "python3", "-c", "import time\nwhile input(): print(int(time.time()), flush=True)"]
    with subprocess.Popen(
        running, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=sick.environment
    ) as ticking:
        assert ticking.stdin is not None
        assert ticking.stdout is not None
        for offset in (-86400, 0):
            clock.step(sick, offset, print)
            ticking.stdin.write("now\n")
            assert abs(int(ticking.stdout.readline()) - time.time() - offset) < 3600
        ticking.kill()
    clock.step(sick, -3600, print)
    sick.reboot()
    assert abs(int(sick.run("date +%s").stdout) - time.time() + 3600) < 600
    assert faults.heal(sick) == ["clock -3600 s"]
    assert abs(int(sick.run("date +%s").stdout) - time.time()) < 600
