"""The fleet of a person: it outlives the command that made it, and its addresses never change.

Slot 200 and so 10.213.200.0/24, above the slots that tests take; another number is another fleet beside it. Nothing is
remembered but in the slot's folder, and everything there is looked at anew: `up` after a crash goes on, `down` removes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.fleet import access, faults, layers
from deploy.fleet.access import Access
from deploy.fleet.base import MachineError, Say, make_room, require
from deploy.fleet.machine import READY
from deploy.fleet.machines import FLEETS, Fleet, Machine, clear, load, locked, together
from deploy.fleet.network import Network
from deploy.toml_model import nearest

NUMBER = 200
MACHINES = ("lb1", "web1", "web2", "web3", "db1")
# Host numbers by what a machine is for: web1 has 21. Environment files count on them.
TENS = {"lb": 10, "web": 20, "db": 30, "worker": 40}
OTHERS = 100  # where the others begin
NAME = re.compile(r"[a-z][a-z0-9-]*")
UP = "make fleet"


@dataclass(frozen=True)
class Slot:
    """Where a standing fleet is kept, and where the files that let in are written."""

    directory: Path
    number: int = NUMBER
    fleets: Path = FLEETS

    @property
    def folder(self) -> Path:
        return self.fleets / str(self.number)

    @property
    def network(self) -> Network:
        return Network(self.number)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from changing this fleet meanwhile."""
        with locked(self.fleets, f"{self.number}.lock"):
            yield


def up(slot: Slot, say: Say, names: Sequence[str] = MACHINES, cached: tuple[str, ...] = ()) -> tuple[Access, bool]:
    """Boot what is missing of these machines, and what is switched off of all; say whether anything was to do.

    `cached` packages are at hand on machines that are made now: apt needs no network for them.

    Raises: MachineError.
    """
    require()
    _check(names)
    with slot.alone():
        fleet = _claim(slot)
        changed = _boot(slot, fleet, say, names, cached)
        return access.write(fleet, slot.directory), changed


def down(slot: Slot) -> bool:
    """Remove the fleet with all its disks; say whether there was one. The key stays for the next.

    Raises: MachineError.
    """
    require()
    with slot.alone():
        there = slot.folder.exists()
        if there:
            clear(slot.folder, slot.network)
        for name in ("known_hosts", "ssh_config"):
            (slot.directory / name).unlink(missing_ok=True)
        return there


def find(slot: Slot, names: Sequence[str]) -> list[Machine]:
    """Find machines of the fleet by name; `all` is all of them.

    Raises: MachineError with the nearest name.
    """
    machines = everyone(slot)
    unknown = [name for name in names if name not in machines and name != "all"]
    if unknown:
        known = sorted(machines)
        close = nearest(unknown[0], known)
        raise MachineError(f'unknown machine "{unknown[0]}"{close}', hint=f"machines: {', '.join(known)}, or all")
    return list(machines.values()) if "all" in names else [machines[name] for name in dict.fromkeys(names)]


def everyone(slot: Slot) -> dict[str, Machine]:
    """Find all machines of the fleet, in the order of their addresses.

    Raises: MachineError when there is none, or nobody but root may look.
    """
    if os.geteuid() != 0:
        raise MachineError("only root can look at machines: they have their own mounts, network and processes")
    machines = load(slot.folder, slot.network) if slot.folder.exists() else {}
    whole = {name: machine for name, machine in machines.items() if machine.address}
    if not whole:
        raise MachineError("no fleet is up", hint=UP)
    return dict(sorted(whole.items(), key=lambda item: int(item[1].address.rpartition(".")[2])))


def status(machine: Machine) -> dict[str, object]:
    """Say what a machine is and how it is, by looking at it."""
    return {
        "machine": machine.name,
        "address": machine.address,
        "state": machine.state(),
        "faults": faults.seen(machine),
    }


def host_number(name: str, taken: set[int]) -> int:
    """Choose a machine's host number by its name: web3 gets 23, a name of no kind the first free one from 100 on."""
    kind, digits = re.fullmatch(r"([a-z-]*?)(\d*)", name.partition("-")[0]).groups()  # type: ignore[union-attr]
    wanted = TENS.get(kind, 0) + int(digits or 0)
    if kind in TENS and TENS[kind] < wanted < TENS[kind] + 10 and wanted not in taken:
        return wanted
    return next(number for number in range(OTHERS, 255) if number not in taken)


def _check(names: Sequence[str]) -> None:
    for name in names:
        if not NAME.fullmatch(name) or name == "all":
            raise MachineError(f"{name!r}: expected a name of lower-case letters, digits and dashes, such as web1")


def _claim(slot: Slot) -> Fleet:
    """Take the slot, or what a run before left of it."""
    if not slot.folder.exists():
        if slot.network.taken():
            raise MachineError(
                f"{slot.network.subnet} is in use on this computer: expected it to be free for the fleet"
            )
        slot.folder.mkdir(parents=True)
    make_room()
    slot.network.claim()
    slot.network.up()
    machines = load(slot.folder, slot.network)
    for name in [name for name, machine in machines.items() if not machine.address]:
        half = machines.pop(name)  # whoever made it was killed
        half.remove()
        shutil.rmtree(half.folder)
    return Fleet(slot.folder, slot.network, "", machines)


def _boot(slot: Slot, fleet: Fleet, say: Say, names: Sequence[str], cached: tuple[str, ...]) -> bool:
    there = list(fleet.machines.values())
    states = {machine.name: machine.state() for machine in there}
    off = [machine for machine in there if states[machine.name] == "off"]
    missing = [name for name in dict.fromkeys(names) if name not in fleet.machines]
    # Those that still boot are waited for; a frozen one is somebody's intention.
    together([machine for machine in there if states[machine.name] not in (*READY, "frozen")], Machine.boot)
    if missing:
        fleet.lower = layers.lower(say, cached=cached)
        fleet.add_all(_places(missing, {int(machine.address.rpartition(".")[2]) for machine in there}))
    for machine in [*off, *(fleet.machines[name] for name in missing)]:
        say(f"{machine.name:<8} {machine.address:<16} {'booted' if machine in off else 'made and booted'}")
    return bool(off or missing)


def _places(names: Sequence[str], taken: set[int]) -> dict[str, int | None]:
    places: dict[str, int | None] = {}
    for name in names:
        places[name] = host_number(name, taken)
        taken = {*taken, places[name] or 0}
    return places
