"""A machine's control groups: they know all of its processes, whoever started them and however that one ended."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.fleet.base import MachineError

CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 10.0  # seconds until killed processes must be gone, or frozen ones stand still


def entering(unique: str) -> str:
    """Write the shell's words for a process to make a machine's control groups and move into them.

    One in each hierarchy (v1, hybrid), or the one there is (v2). With --keep-unit all machines would share one group,
    and the same unit of two machines would be the same group: stopping it on one kills it on the other (measured).
    """
    if (CGROUPS / "cgroup.procs").exists():
        groups = [CGROUPS / _name(unique)]
    else:
        # cpuset is left out: a new group there has neither processors nor memory, and refuses processes.
        chosen = ("systemd", "unified", "cpu", "cpuacct", "memory", "pids")
        groups = [CGROUPS / part / _name(unique) for part in chosen if (CGROUPS / part / "cgroup.procs").exists()]
    return "; ".join(f"mkdir -p {path} && echo $$ >{path}/cgroup.procs" for path in groups)


def kill(unique: str) -> None:
    """Kill everything in a machine's control groups, frozen or not, and remove them.

    Raises: MachineError when something can't be killed.
    """
    groups = existing(unique)
    _until(lambda: not sum(map(_kill_members, groups)), f"processes in {', '.join(map(str, groups))} can't be killed")
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def existing(unique: str) -> list[Path]:
    """List the control groups that a machine has."""
    return [path for path in (CGROUPS / _name(unique), *CGROUPS.glob(f"*/{_name(unique)}")) if path.exists()]


def processor(unique: str) -> float:
    """Tell how many CPU seconds a machine's processes have used since it was switched on, those that ended too.

    Raises: MachineError when there is no such machine, or nobody counts.
    """
    for group in existing(unique):
        counted = re.search(r"^usage_usec (\d+)$", _text(group / "cpu.stat"), re.MULTILINE)  # v2, in a hybrid too
        if counted:
            return int(counted[1]) / 1e6
        if (group / "cpuacct.usage").exists():
            return int(_text(group / "cpuacct.usage")) / 1e9
    raise MachineError(f"no control group of {unique} counts processor time")


def freeze(unique: str, frozen: bool) -> None:
    """Stop all processes of a machine where they stand, or let them go on.

    Raises: MachineError where the kernel has no freezer of the second version (before Linux 5.2).
    """
    group = _freezer(unique)
    if group is None:
        raise MachineError("this computer's control groups can't freeze", hint="Linux 5.2 or later is needed")
    (group / "cgroup.freeze").write_text("1" if frozen else "0", encoding="ascii")
    _until(lambda: f"frozen {int(frozen)}" in _events(group), f"{group} does not {'freeze' if frozen else 'thaw'}")


def is_frozen(unique: str) -> bool:
    """Tell whether a machine's processes are stopped."""
    group = _freezer(unique)
    return group is not None and "frozen 1" in _events(group)


def _name(unique: str) -> str:
    return f"slipway-{unique}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def _freezer(unique: str) -> Path | None:
    return next((group for group in existing(unique) if (group / "cgroup.freeze").exists()), None)


def _events(group: Path) -> str:
    return (group / "cgroup.events").read_text(encoding="ascii")


def _until(check: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            raise MachineError(otherwise)
        time.sleep(0.01)


def _kill_members(group: Path) -> int:
    """Kill what runs in a control group and those inside; give how many there were."""
    members = set()
    for folder, _, _ in os.walk(group):  # which passes over what vanishes meanwhile
        with suppress(OSError):
            members |= {int(word) for word in Path(folder, "cgroup.procs").read_text(encoding="ascii").split()}
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(members)
