"""Run `salt-call --local state.highstate` and tell of each state as it begins and ends, a JSON line each.

Run by the Python that has Salt, on the server. Salt's results come only when all is done; an operator who waits for
packages wants to see them pass. So two methods of Salt's State are watched. A Salt that has them no more works without.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any


def watch(state: Any, tell: Any) -> None:
    """Tell when a state begins and when it has ended."""
    call, event = getattr(state, "call", None), getattr(state, "event", None)
    if call is None or event is None:
        return

    def begin(self: Any, low: Any, *args: Any, **options: Any) -> Any:
        tell(event="begin", id=str(low.get("__id__", "")))
        return call(self, low, *args, **options)

    def end(self: Any, chunk: Any, *args: Any, **options: Any) -> Any:
        changed = bool(chunk.get("changes"))
        tell(event="end", id=str(chunk.get("__id__", "")), result=chunk.get("result"), changed=changed)
        return event(self, chunk, *args, **options)

    state.call, state.event = begin, end


def main() -> None:
    """Run the states, all else in salt-call's own ways."""
    options = json.loads(sys.argv[1])
    if options["lib"]:
        sys.path.insert(0, options["lib"])
    stream = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore", DeprecationWarning)

    def tell(**event: Any) -> None:
        stream.write(f"{json.dumps(event)}\n")

    import salt.state
    from salt.scripts import salt_call

    watch(salt.state.State, tell)
    sys.argv = [
        *("salt-call", f"--config-dir={options['config']}", "--local", "--retcode-passthrough"),
        *("--out=json", f"--out-file={options['out']}", "--log-level=warning", "state.highstate"),
        *(["test=True"] if options["test"] else []),
    ]
    sys.exit(salt_call())


main()
