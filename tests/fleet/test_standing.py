"""A person's fleet: made, used, broken and removed by `fab`, whatever was killed in between."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import SlipwayError
from deploy.fleet import standing
from deploy.fleet.base import PROGRAMS, missing, obstacle
from deploy.fleet.machines import FLEETS, SLOTS, MachineError
from deploy.fleet.network import Network
from deploy.fleet.standing import Slot, host_number
from deploy.tasks import fleet as tasks
from tests.fleet.test_machines import traces
from tests.support.repository import ROOT

FAB = Path(sys.executable).with_name("fab")


@pytest.fixture
def slot() -> Iterator[Slot]:
    """A number that nobody has, neither a person nor another run of the tests."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    free = [n for n in range(SLOTS + 1, 256) if not (FLEETS / str(n)).exists() and not Network(n).taken()]
    number = secrets.choice(free)
    found = Slot(ROOT / "var" / f"fleet-{number}", number)
    yield found
    standing.down(found)
    shutil.rmtree(found.directory, ignore_errors=True)
    (found.fleets / f"{number}.lock").unlink(missing_ok=True)


def fab(slot: Slot, *words: str, code: int = 0) -> str:
    """Type a command; give what it said."""
    environment = {**os.environ, "SLIPWAY_FLEET": str(slot.number)}
    done = subprocess.run([FAB, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_person_makes_a_fleet_breaks_it_heals_it_and_removes_it(slot: Slot) -> None:
    assert "no fleet is up\n  -> make fleet" in fab(slot, "fleet.status", code=2)
    made = json.loads(fab(slot, "fleet.up", "--machines", "web1 db1", "--json"))
    assert made["changed"] is True
    assert [(m["machine"], m["address"]) for m in made["machines"]] == [
        ("web1", slot.network.address(21)),
        ("db1", slot.network.address(31)),
    ]
    ssh = ["ssh", "-F", made["ssh_config"], "-o", "BatchMode=yes"]
    assert subprocess.run([*ssh, "db1", "hostname"], capture_output=True, text=True, check=True).stdout == "db1\n"
    assert fab(slot, "fleet.ssh", "web1", "--command", "getent hosts db1").split() == [slot.network.address(31), "db1"]
    assert fab(slot, "fleet.up", "--machines", "db1").startswith("nothing to do: 2 machines run")

    clock, slow = ("fleet.clock", "db1", "--step=-2h"), ("fleet.slow", "db1", "--delay", "20", "--rate", "1000")
    said = fab(
        slot, "fleet.cut", "web1", *clock, "fleet.fill", "db1", "web1", *slow, "fleet.freeze", "web1", "fleet.status"
    )
    listed = [line.split(maxsplit=3) for line in said.splitlines()[-2:]]
    assert listed[0][2:] == ["frozen", "frozen; cut off; disk full"]
    assert listed[1][3] == "slow: 20 ms, 1000 kbit/s; disk full; clock -7200 s"
    assert [m["faults"] for m in json.loads(fab(slot, "fleet.heal", "all", "--json"))["machines"]] == [[], []]

    with pytest.raises(MachineError, match="unknown machine \"wbe1\"; did you mean 'web1'"):
        standing.find(slot, ["wbe1"])
    web1 = standing.find(slot, ["web1"])[0]
    (web1.root / "root/kept").touch()
    killed = json.loads(fab(slot, "fleet.kill", "web1", "--json"))["machines"]
    assert [machine["state"] for machine in killed] == ["off", "running"]
    assert fab(slot, "fleet.boot", "web1", "fleet.reboot", "all").splitlines()[0] == "web1     booted"
    assert web1.run("ls /root").stdout == "kept\n"
    fab(slot, "fleet.freeze", "db1", "fleet.thaw", "db1", "fleet.reset", "web1")
    assert fab(slot, "fleet.ssh", "web1", "--command", "ls /root") == ""

    assert "the fleet is removed" in fab(slot, "fleet.down")
    assert "nothing to do" in fab(slot, "fleet.down")
    assert not traces(slot.folder, slot.network)
    assert sorted(path.name for path in slot.directory.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_a_wrong_word_is_told_what_was_expected(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_FLEET", str(slot.number))
    for act, expected in (
        (lambda: tasks.slow(None, "web1"), "expected --delay in ms, --rate in kbit/s or --loss in percent"),
        (lambda: tasks.clock(None, "web1", "soon"), "expected a time, such as 30s"),
        (lambda: tasks.up(None, "Web1"), "expected a name of lower-case letters"),
        (lambda: tasks.kill(None, "web1"), "no fleet is up"),
    ):
        with pytest.raises(SlipwayError, match=expected):
            act()
    monkeypatch.setenv("SLIPWAY_FLEET", "12")
    with pytest.raises(SlipwayError, match="expected a number from 200 to 255"):
        tasks.status(None)


@pytest.mark.parametrize(
    "point",
    ["", "machines/web1/machine.json", "machines/web1/disk", "machines/web1/console.log", "machines/web1/keeper"],
)
def test_whatever_kill_9_leaves_the_next_goes_on_from_it(slot: Slot, point: str) -> None:
    code = (
        "import sys; from pathlib import Path; from deploy.fleet import standing\n"
        "standing.up(standing.Slot(Path(sys.argv[1]), int(sys.argv[2])), print, ['web1'])"
    )
    maker = subprocess.Popen([sys.executable, "-c", code, str(slot.directory), str(slot.number)], cwd=ROOT)
    while maker.poll() is None and not (slot.folder / point).exists():
        time.sleep(0.001)
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    access, _ = standing.up(slot, print, ["web1"])
    ssh = ["ssh", "-F", str(access.config), "-o", "BatchMode=yes", "web1", "hostname"]
    done = subprocess.run(ssh, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("web1\n", "")
    assert standing.down(slot)
    assert not traces(slot.folder, slot.network)


def test_only_root_can(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from deploy.fleet import standing\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "for act in (lambda slot: standing.up(slot, print), standing.down, standing.everyone):\n"
        "    try: act(standing.Slot(Path('/nowhere'), 201))\n"
        "    except standing.MachineError as error: print(error.message)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == 3
    assert all("root" in line for line in said.splitlines())


def test_packages_that_are_missing_are_named(tmp_path: Path) -> None:
    assert missing(str(tmp_path)) == sorted(set(PROGRAMS.values()))


@pytest.mark.parametrize(
    ("name", "taken", "number"),
    [
        ("lb1", set(), 11),
        ("web1", set(), 21),
        ("web9", set(), 29),
        ("web10", set(), 100),
        ("db1", {31}, 100),
        ("worker2", set(), 42),
        ("web", set(), 100),
        ("cache1", {100, 101}, 102),
    ],
)
def test_a_machine_gets_its_address_by_its_name(name: str, taken: set[int], number: int) -> None:
    assert host_number(name, taken) == number


def test_a_network_that_another_uses_is_left_alone(slot: Slot) -> None:
    assert slot.network.claim()
    slot.network.up()
    try:
        with pytest.raises(MachineError, match="is in use on this computer"):
            standing.up(slot, print, ["web1"])
    finally:
        slot.network.down()
