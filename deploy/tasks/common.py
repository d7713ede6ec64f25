"""What all tasks share: the environment and the contract they work on, and how they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from deploy import contract as contracts
from deploy import environment as environments
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError

ROOT = Path(__file__).resolve().parent.parent.parent


def open_environment(name: str) -> tuple[Environment, Contract]:
    """Read an environment file and the contract.

    Raises: SlipwayError with every mistake in them.
    """
    return environments.read(name), contracts.read(ROOT)


def leave(code: Exit | int) -> None:
    """End the command with an exit code of the table in deploy/errors.py."""
    sys.stdout.flush()
    if code:
        raise SystemExit(int(code))


@contextmanager
def leave_on_error() -> Iterator[None]:
    """Turn an operator's mistake into its message and exit code; bugs keep their traceback."""
    try:
        yield
    except SlipwayError as error:
        print(typeable(f"slipway: {error.report()}"), file=sys.stderr)  # noqa: T201
        raise SystemExit(int(error.exit_code)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # `fab logs:local | head`
        sys.stderr.close()
        raise SystemExit(0) from None


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

    return re.sub(r"(?<![\w./-])fab (?=[a-z]+:)", f"{fab()} ", text)


def say(text: Any = "") -> None:
    """Print a line of output."""
    print(typeable(str(text)), flush=True)  # noqa: T201


def aligned(rows: list[list[str]]) -> list[str]:
    """Lay rows out in columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
