"""A machine's wall clock, stepped: by a library that is preloaded into all that starts there from then on.

The kernel has one wall clock for all machines (time namespaces move only the monotonic ones), and the known library for
this, libfaketime, moves what the kernel's timers run by, or breaks Python's sleep: see docs/decisions.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.fleet import layers
from deploy.fleet.base import Say, base

if TYPE_CHECKING:
    from deploy.fleet.machine import Machine

SOURCE = Path(__file__).parent / "clock.c"
LIBRARY, STEP, PRELOAD = "/usr/lib/slipway-clock.so", "/etc/slipway-clock", "/etc/ld.so.preload"
COMPILERS = "binutils tcc"
# ld, because tcc's own libraries ask for an executable stack, which hardened services are refused.
COMPILE = """
cat >/tmp/clock.c <<'END' && tcc -c -DSTEP='"{step}"' -o /tmp/clock.o /tmp/clock.c
{source}
END
ld -shared -z noexecstack -o /mnt/clock.so /tmp/clock.o
"""


def step(machine: Machine, seconds: int, say: Say) -> None:
    """Put a machine's clock forward, or back, from what this computer's says.

    Programs see it from their next start on; those that were started while the clock was stepped, at once. File times
    and timers of the kernel stay.

    Raises: MachineError.
    """
    if not (machine.root / LIBRARY[1:]).exists():
        machine.push(_library(say), LIBRARY, 0o755)
    _write(machine, seconds)
    (machine.root / PRELOAD[1:]).write_text(f"{LIBRARY}\n", encoding="ascii")


def restore(machine: Machine) -> None:
    """Let a machine's clock say again what this computer's says."""
    (machine.root / PRELOAD[1:]).unlink(missing_ok=True)
    if (machine.root / STEP[1:]).exists():
        _write(machine, 0)


def offset(machine: Machine) -> int:
    """Say by how many seconds a machine's clock is stepped."""
    path = machine.root / STEP[1:]
    return int(struct.unpack("@l", path.read_bytes())[0]) if path.exists() else 0


def _write(machine: Machine, seconds: int) -> None:
    path = machine.root / STEP[1:]
    path.touch(mode=0o644)
    with path.open("r+b") as file:  # in place: running programs have it mapped
        file.write(struct.pack("@l", seconds))


def _library(say: Say) -> Path:
    compile_it = COMPILE.format(step=STEP, source=SOURCE.read_text(encoding="utf-8"))
    script = f"{layers.INSTALL.format(packages=COMPILERS)}\n{compile_it}"
    return layers.built(say, str(base(say)), script, "the clock's library") / "out/clock.so"
