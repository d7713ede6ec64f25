"""Tasks for the machines on this computer: `fab fleet.up`, and what can be done to them, to see what then happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.fleet.machine import Machine
    from deploy.fleet.standing import Slot

Act = Callable[["Machine"], Any]


def up(c: Any, machines: str = "", cached: str = "", json: bool = False) -> None:
    """Boot the fleet, or what is missing of it: lb1, web1, web2, web3, db1 at 10.213.200.11, .21, .22, .23, .31."""
    from deploy.fleet import standing
    from deploy.tasks import common

    slot = _slot()
    said: list[str] = []
    names = _words(machines) or standing.MACHINES
    access, changed = standing.up(slot, said.append if json else common.say, names, tuple(_words(cached)))
    if json:
        common.say_json({"changed": changed, "done": said, "ssh_config": str(access.config), **_described(slot)})
    else:
        how = (
            f"{len(standing.everyone(slot))} machines run -> fab fleet.ssh web1, or ssh -F {_short(access.config)} web1"
        )
        common.say(how if changed else f"nothing to do: {how}")


def down(c: Any, json: bool = False) -> None:
    """Switch the fleet off and remove it with all its disks; it asks nothing."""
    from deploy.fleet import standing
    from deploy.tasks import common

    changed = standing.down(_slot())
    if json:
        common.say_json({"changed": changed})
    else:
        common.say("the fleet is removed -> make fleet makes a new one" if changed else "nothing to do: no fleet is up")


def status(c: Any, json: bool = False) -> None:
    """Show each machine's address, whether it runs, and which faults it has."""
    from deploy.tasks import common

    described = _described(_slot())
    if json:
        common.say_json(described)
        return
    rows = [["machine", "address", "state", "faults"]]
    rows += [[m["machine"], m["address"], m["state"], "; ".join(m["faults"]) or "none"] for m in described["machines"]]
    common.say("\n".join(common.aligned(rows)))


def ssh(c: Any, machine: str, command: str = "") -> None:
    """Open a shell on a machine, or run one command there: fab fleet.ssh web1 --command "systemctl --failed"."""
    import os

    from deploy.errors import SlipwayError
    from deploy.fleet import standing

    slot = _slot()
    found = standing.find(slot, _words(machine))
    if len(found) != 1:
        raise SlipwayError(f"{machine}: expected one machine", hint="fab fleet.ssh web1")
    config = slot.directory / "ssh_config"
    if not config.exists():
        raise SlipwayError(f"{_short(config)} is missing: this fleet was made from elsewhere", hint=standing.UP)
    os.execvp("ssh", ["ssh", "-F", str(config), found[0].name, *([command] if command else [])])  # noqa: S606


def kill(c: Any, machines: str, json: bool = False) -> None:
    """Take machines' power away: nothing on them gets to know."""
    _each(machines, json, "killed", lambda machine: machine.power_off())


def boot(c: Any, machines: str, json: bool = False) -> None:
    """Switch machines on again; what is on their disks is still there."""
    _each(machines, json, "booted", lambda machine: machine.boot())


def reboot(c: Any, machines: str, json: bool = False) -> None:
    """Let machines reboot, as `systemctl reboot` does, and wait until they are back."""
    _each(machines, json, "rebooted", lambda machine: machine.reboot())


def reset(c: Any, machines: str, json: bool = False) -> None:
    """Make machines as empty as new ones, in a second or two; name, address and host key stay."""
    _each(machines, json, "reset", lambda machine: machine.reset())


def freeze(c: Any, machines: str, json: bool = False) -> None:
    """Stop everything on machines where it stands: connections are taken, nobody answers."""
    from deploy.fleet import faults

    _each(machines, json, "frozen", faults.freeze)


def thaw(c: Any, machines: str, json: bool = False) -> None:
    """Let frozen machines go on."""
    from deploy.fleet import faults

    _each(machines, json, "thawed", faults.thaw)


def cut(c: Any, machines: str, json: bool = False) -> None:
    """Cut machines from the network, also when they boot anew: what is sent to them is lost."""
    _each(machines, json, "cut off", lambda machine: machine.cable.cut())


def slow(c: Any, machines: str, delay: int = 0, rate: int = 0, loss: int = 0, json: bool = False) -> None:
    """Delay, limit or lose what machines send and get, until they are healed or boot anew."""
    from deploy.errors import SlipwayError
    from deploy.fleet.cable import Slowness

    if not (0 <= loss <= 100 and delay >= 0 and rate >= 0 and delay + rate + loss > 0):
        raise SlipwayError(
            f"expected --delay in ms, --rate in kbit/s or --loss in percent; got {delay}, {rate}, {loss}",
            hint="fab fleet.slow web1 --delay 50",
        )
    slowness = Slowness(delay / 1000, rate * 1000 / 8, loss / 100)
    _each(machines, json, f"slow: {slowness}", lambda machine: machine.cable.slow(slowness))


def fill(c: Any, machines: str, left: int = 0, json: bool = False) -> None:
    """Fill machines' disks, but for --left MiB: whoever writes there is told that no space is left."""
    _each(machines, json, "disk full", lambda machine: machine.disk.fill(left * 2**20))


def clock(c: Any, machines: str, step: str = "1h", json: bool = False) -> None:
    """Put machines' clocks forward or, with --step=-1h, back, for all that starts there from now on."""
    from deploy.fleet import clock as clocks
    from deploy.tasks import common

    seconds = _seconds(step)
    _each(machines, json, f"clock {seconds:+d} s", lambda machine: clocks.step(machine, seconds, common.say))


def heal(c: Any, machines: str, json: bool = False) -> None:
    """Undo what freeze, cut, slow, fill and clock did to machines."""
    from deploy.fleet import faults

    _each(machines, json, "healed", faults.heal)


TASKS: tuple[Callable[..., Any], ...] = (
    up, down, status, ssh, boot, kill, reboot, reset, freeze, thaw, cut, slow, fill, clock, heal,
)  # fmt: skip

_MACHINES = "names, such as web1 web2; `all` is all of them"
HELP = {
    "up": {
        "machines": "names, in quotes; without: the five above",
        "cached": "packages that apt finds without network",
    },
    "ssh": {"machine": "a name, such as web1", "command": "what to run there instead of a shell"},
    "slow": {"delay": "milliseconds, each way", "rate": "kbit/s, each way", "loss": "percent of packets, each way"},
    "fill": {"left": "MiB that stay free"},
    "clock": {"step": "how far, such as 30s, 2h or -1d, from what this computer's clock says"},
}


def help_of(function: Callable[..., Any]) -> dict[str, str]:
    """Give the help of a task's parameters."""
    names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    shared = {"machines": _MACHINES, "json": "answer as JSON"}
    return {name: {**shared, **HELP.get(function.__name__, {})}[name] for name in names}


def _slot() -> Slot:
    """Give the fleet of this computer, or the one beside it that SLIPWAY_FLEET numbers."""
    import os

    from deploy.errors import SlipwayError
    from deploy.fleet import standing
    from deploy.fleet.machines import SLOTS
    from deploy.tasks.common import ROOT

    text = os.environ.get("SLIPWAY_FLEET", str(standing.NUMBER))
    number = int(text) if text.isdigit() else 0
    if not SLOTS <= number < 256:
        raise SlipwayError(f"SLIPWAY_FLEET is {text!r}: expected a number from {SLOTS} to 255")
    name = "fleet" if number == standing.NUMBER else f"fleet-{number}"
    return standing.Slot(ROOT / "var" / name, number)


def _each(names: str, json: bool, done: str, act: Act) -> None:
    """Do something to each of the machines that are named, side by side, and say so."""
    from deploy.fleet import standing
    from deploy.fleet.machines import together
    from deploy.tasks import common

    slot = _slot()
    machines = standing.find(slot, _words(names))
    with slot.alone():
        together(machines, act)
    if json:
        common.say_json(_described(slot))
    else:
        common.say("\n".join(f"{machine.name:<8} {done}" for machine in machines))


def _described(slot: Slot) -> dict[str, Any]:
    from deploy.fleet import standing

    machines = [standing.status(machine) for machine in standing.everyone(slot).values()]
    return {"fleet": slot.number, "network": slot.network.subnet, "machines": machines}


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _seconds(step: str) -> int:
    import re

    from deploy.errors import SlipwayError

    found = re.fullmatch(r"([+-]?\d+)([smhd]?)", step)
    if not found:
        raise SlipwayError(f"--step {step}: expected a time, such as 30s, 2h or -1d")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _short(path: Any) -> str:
    from pathlib import Path

    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
