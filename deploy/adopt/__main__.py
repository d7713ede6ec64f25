"""`python -m deploy.adopt init APP|lock`: what `make adopt` and, for an adopted application, `make lock` call."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.adopt import adopting, lock
from deploy.artifacts.command import carry_out


def main(arguments: list[str] | None = None) -> int:
    """Adopt an application, or lock what it requires."""
    parser = argparse.ArgumentParser(prog="python -m deploy.adopt", description="Adopt an application.")
    words = parser.add_subparsers(required=True, dest="word", metavar="init|lock")
    init = words.add_parser("init", help="look at an application's repository and write slipway.toml")
    init.add_argument("app", type=Path, help="folder of the application's repository")
    init.add_argument("--force", action="store_true", help="write over the slipway.toml that is there")
    locks = words.add_parser("lock", help="write the lock that slipway.toml names")
    locks.add_argument("--upgrade", action="store_true", help="take newer versions")
    options = parser.parse_args(arguments)
    return carry_out(lambda: _act(options), lambda fact: str(fact["said"]), as_json=False)


def _act(options: argparse.Namespace) -> Mapping[str, Any]:
    if options.word == "lock":
        return {"said": "lock     written" if lock.write(Path(), upgrade=options.upgrade) else "lock     is as it was"}
    return {"said": adopting.report(adopting.adopt(options.app, Path(), force=options.force))}


if __name__ == "__main__":
    sys.exit(main())
