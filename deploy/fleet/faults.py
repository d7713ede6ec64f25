"""What can go wrong with a machine, on purpose: what there is of it, and how to undo all of it."""

from __future__ import annotations

from deploy.fleet import cgroups, clock
from deploy.fleet.machine import Machine


def freeze(machine: Machine) -> None:
    """Stop everything on a machine where it stands; its network still takes what comes, as of a computer that hangs.

    Raises: MachineError when it is off.
    """
    machine.enter()
    cgroups.freeze(machine.unique, True)


def thaw(machine: Machine) -> None:
    """Let a frozen machine go on."""
    if cgroups.is_frozen(machine.unique):
        cgroups.freeze(machine.unique, False)


def heal(machine: Machine) -> list[str]:
    """Undo all faults of a machine but its lost power; give what there were."""
    found = seen(machine)
    thaw(machine)
    machine.cable.mend()
    machine.disk.free()
    clock.restore(machine)
    return found


def seen(machine: Machine) -> list[str]:
    """Say what is wrong with a machine, by looking at it."""
    slowness, offset = machine.cable.slowness(), clock.offset(machine)
    found = {
        "frozen": cgroups.is_frozen(machine.unique),
        "cut off": machine.cable.is_cut(),
        f"slow: {slowness}": slowness is not None,
        "disk full": machine.disk.filler.exists(),
        f"clock {offset:+d} s": offset != 0,
    }
    return [fault for fault, there in found.items() if there]
