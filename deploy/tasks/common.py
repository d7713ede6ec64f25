"""What all tasks share: the environment and the contract they work on, and how they end."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy import contract as contracts
from deploy import environment as environments
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError
from deploy.terminal import ask_to_leave, deafen
from deploy.toml_model import nearest

if TYPE_CHECKING:
    from deploy.hosts import Hosts

ROOT = Path(__file__).resolve().parent.parent.parent


def open_environment(name: str) -> tuple[Environment, Contract]:
    """Read an environment file and the contract.

    Raises: SlipwayError with every mistake in them.
    """
    settings, contract = environments.read(name), contracts.read(ROOT)
    return settings.serving(contract.slipway, contract.name), contract


@contextmanager
def connected(settings: Environment, contract: Contract) -> Iterator[Hosts]:
    """Begin the sessions with all hosts, and end them; they open while the rest of this program is loaded.

    Raises: NotBootstrapped.
    """
    from deploy.hosts import connect

    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        hosts.begin(hosts.leased)
        yield hosts


def leave(code: Exit | int) -> None:
    """End the command with an exit code of the table in deploy/errors.py."""
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads any more; the exit code is for whoever waits
        deafen()
    if code:
        raise SystemExit(int(code))


@contextmanager
def leave_on_error() -> Iterator[None]:
    """Turn an operator's mistake into its message and exit code; bugs keep their traceback."""
    ask_to_leave()
    try:
        yield
    except SlipwayError as error:
        print(typeable(f"slipway: {error.report()}"), file=sys.stderr)  # noqa: T201
        raise SystemExit(int(error.exit_code)) from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `fab logs:local | head`
            sys.stderr.close()
            raise SystemExit(0) from None
        where = f"{error.filename}: " if error.filename else ""
        print(f"slipway: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(int(Exit.USAGE)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@cache
def fab() -> str:
    """Say how `fab` is called here: by its name when PATH finds the one that runs, else by its path."""
    running = Path(sys.argv[0]).resolve()
    found = shutil.which("fab")
    if found and Path(found).resolve() == running:
        return "fab"
    here = Path(sys.prefix) / "bin" / "fab"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def typeable(text: str) -> str:
    """Make the `fab ...` commands of a text work as they are typed here."""
    import re

    return re.sub(r"(?<![\w./-])fab (?=[a-z]+[:.])", f"{fab()} ", text)


def say(text: Any = "") -> None:
    """Print a line of output."""
    print(typeable(str(text)), flush=True)  # noqa: T201


def say_json(data: Any) -> None:
    """Print a result for a machine; a set becomes a list."""
    print(json.dumps(data, default=sorted), flush=True)  # noqa: T201


def only(hosts: Hosts, text: str) -> None:
    """Leave all hosts out but those that are named, if any is."""
    hosts.only(hosts_named(hosts.environment, text))


def only_one(hosts: Hosts, text: str) -> None:
    """Leave all hosts but one out: the one that is named, or the first.

    Raises: SlipwayError when several are named.
    """
    only(hosts, text or next(iter(hosts.agents)))
    if len(hosts.agents) > 1:
        raise SlipwayError(f"expected one host, got {text}")


def hosts_named(settings: Environment, text: str, *, web: bool = False) -> list[str]:
    """Read names of hosts of the application, or of `web` hosts only, separated by commas.

    Raises: SlipwayError with the nearest name of one that is none.
    """
    names, known = (
        [name.strip() for name in text.split(",") if name.strip()],
        list(settings.web if web else settings.app),
    )
    if text and not names:
        raise SlipwayError(f"expected names of hosts, got {text!r}", hint=f"hosts: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise SlipwayError(f'unknown host "{name}"{nearest(name, known)}', hint=f"hosts: {', '.join(known)}")
    return names


def counted(option: str, number: int) -> int:
    """Check a number of something; 0 is what an option is without one.

    Raises: SlipwayError when it is negative.
    """
    if number < 0:
        raise SlipwayError(f"{option}: expected a number from 1, got {number}")
    return number


def confirm(settings: Environment, what: str, *, yes: bool, always: bool = False) -> None:
    """Ask before something is done to an environment whose file says `confirm = true`, or `always`.

    Raises: SlipwayError when the answer is another than the environment's name, or there is nobody to ask.
    """
    if yes or not (always or settings.file.confirm):
        return
    said = f"{settings.name} ({settings.url}): {what}"
    if not sys.stdin.isatty():
        raise SlipwayError(f"{said}? There is no terminal to ask on; nothing was touched", hint="--yes says yes")
    sys.stderr.write(f"{said}?\nType {settings.name} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != settings.name:
        raise SlipwayError("that was no yes; nothing was touched")


def report(act: Callable[[Any], Any], *, as_json: bool) -> None:
    """Carry a rollout out, tell about it as it goes, and leave with its exit code."""
    from deploy.report import reporter

    tell = reporter(as_json=as_json)
    try:
        outcome = act(tell)
    finally:
        tell.close()
    tell.outcome(outcome)
    leave(outcome.exit)


def without_digest(entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out what identifies the variables of a generation: it is compared, never shown."""
    return {key: value for key, value in entry.items() if key != "env_digest"}


def ago(then: float | None) -> str:
    """Say how long ago a time was, roughly: `3 min ago`."""
    if then is None:
        return "-"
    seconds = max(0, int(time.time() - then))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def aligned(rows: list[list[str]]) -> list[str]:
    """Lay rows out in columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
