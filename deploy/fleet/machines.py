"""Fleets: machines on a network of their own, several fleets side by side, and nothing left of any.

A fleet takes a numbered slot under `/var/lib/slipway/fleets/`; the slot's number is its network. Everything a slot has
(processes, mounts, bridge) can be found from that folder alone, so that a killed run leaves nothing for ever: whoever
takes a slot next, or asks for `sweep`, clears it away.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.fleet import access as accesses
from deploy.fleet import layers, processes
from deploy.fleet.base import MachineError, Say, make_room, require
from deploy.fleet.machine import Machine
from deploy.fleet.network import Network

__all__ = [
    "FLEETS",
    "Fleet",
    "Machine",
    "MachineError",
    "clear",
    "fleet",
    "load",
    "locked",
    "sweep",
    "take",
    "together",
]

FLEETS = Path("/var/lib/slipway/fleets")
SLOTS = 200  # for fleets that end with the process that took them; those above outlive it
SIDE_BY_SIDE = 4
DESCRIPTION = "machine.json"


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
        return self.add_all({name: address})[0]

    def add_all(self, addresses: Mapping[str, int | None]) -> list[Machine]:
        """Boot more machines, side by side.

        Raises: MachineError.
        """
        made = [self._make(name, address) for name, address in addresses.items()]
        together(made, Machine.boot)
        for machine in self.machines.values():
            machine.meet()
        for directory in self.access:
            accesses.write(self, directory)
        return made

    def _make(self, name: str, address: int | None) -> Machine:
        if len(f"vb-s{self.network.number}-{name}") > 15:  # IFNAMSIZ, less the final NUL
            raise MachineError(f"{name!r} is too long for a machine's name: its network link may have 15 characters")
        if name in self.machines:
            raise MachineError(f"there is a machine {name} already")
        folder = self.folder / "machines" / name
        folder.mkdir(parents=True, exist_ok=True)
        machine = Machine(name, folder, self.lower, self.network, self._place(name, address), self.machines)
        described = {"lower": machine.lower, "address": machine.address}
        (folder / DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
        self.machines[name] = machine
        return machine

    def _place(self, name: str, number: int | None) -> str:
        """Choose an address that no other machine has."""
        taken = {machine.address: machine.name for machine in self.machines.values()}
        for host in (number,) if number else range(2, 255):
            address = self.network.address(host)
            if address not in taken:
                return address
        where = f"{address} is {taken[address]}'s" if number else "all its addresses are taken"
        raise MachineError(f"no address for {name} in {self.network.subnet}: {where}")

    def close(self) -> None:
        """Switch everything off and remove it."""
        clear(self.folder, self.network)


def together(machines: Iterable[Machine], act: Callable[[Machine], object]) -> None:
    """Do something to several machines side by side.

    Raises: MachineError with what went wrong, when all have been tried.
    """
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        running = [pool.submit(act, machine) for machine in machines]
    errors = [error for each in running if (error := each.exception())]
    for error in errors:
        if len(errors) == 1 or not isinstance(error, MachineError):
            raise error
    if errors:
        raise MachineError(f"{len(errors)} machines failed", problems=tuple(map(str, errors)))


def take(say: Say, fleets: Path = FLEETS, packages: tuple[str, ...] = (), cached: tuple[str, ...] = ()) -> Fleet:
    """Take a free slot for as long as this process lives; its machines have `packages`, and `cached` ones at hand.

    Raises: MachineError.
    """
    require()
    make_room()
    lower = layers.lower(say, packages, cached)
    with locked(fleets):
        _sweep(fleets)
        for number in range(SLOTS):
            folder, network = fleets / str(number), Network(number)
            if folder.exists() or network.taken() or not network.claim():
                continue
            folder.mkdir()
            (folder / "owner").write_text(f"{processes.identity(os.getpid())}\n", encoding="ascii")
            network.up()
            return Fleet(folder, network, lower)
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
        taken.add_all(dict.fromkeys(names))
        yield taken


def sweep(fleets: Path = FLEETS) -> list[int]:
    """Clear away fleets whose owner is gone; give their numbers. Those that outlive their makers stay."""
    with locked(fleets):
        return _sweep(fleets)


def _sweep(fleets: Path) -> list[int]:
    cleared = []
    for number in sorted(int(path.name) for path in fleets.iterdir() if path.name.isdigit()):
        owner = fleets / str(number) / "owner"
        known = owner.read_text(encoding="ascii") if owner.exists() else ""
        if number < SLOTS and not processes.alive(known):
            clear(fleets / str(number), Network(number))
            cleared.append(number)
    return cleared


@contextmanager
def locked(fleets: Path, name: str = "lock") -> Iterator[None]:
    """Keep others from changing which fleets there are; with a name, from changing that fleet."""
    fleets.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (fleets / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clear(folder: Path, network: Network) -> None:
    """Remove a fleet and all that it has, as whoever made it left it."""
    for machine in load(folder, network).values():
        machine.remove()
    network.down()
    shutil.rmtree(folder)


def load(folder: Path, network: Network) -> dict[str, Machine]:
    """Find the machines of a fleet in its folder, as whoever made them left them."""
    found: dict[str, Machine] = {}
    for path in sorted((folder / "machines").glob("*")):
        try:
            made = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            made = {"lower": "", "address": ""}  # its maker was killed: it is good for removing only
        found[path.name] = Machine(path.name, path, made["lower"], network, made["address"], found)
    return found
