"""Run the agent: `python -m deploy.agent`."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

gc.set_threshold(100_000)  # what is loaded is no garbage

from deploy.agent.cli import main  # noqa: E402  (now)


def run() -> int:
    """Run it, and leave without taking all modules apart, unless something still goes on beside."""
    status = main()
    threads = sys.modules.get("threading")
    if threads is None or threads.active_count() == 1:
        with suppress(OSError, ValueError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    raise SystemExit(run())
