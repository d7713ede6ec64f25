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

STOPPED = "not run: the operator stopped the highstate"  # remote.py knows it by these words


def watch(state: Any, tell: Any, stop: str) -> None:
    """Tell when a state begins and when it has ended; run no more of them once the file `stop` is there."""
    call, event = getattr(state, "call", None), getattr(state, "event", None)
    if call is None or event is None:
        return

    def begin(self: Any, low: Any, *args: Any, **options: Any) -> Any:
        if os.path.exists(stop):  # noqa: PTH110  (nothing else here needs pathlib)
            return {"name": low.get("name"), "result": None, "changes": {}, "comment": STOPPED}
        tell(event="begin", id=str(low.get("__id__", "")))
        return call(self, low, *args, **options)

    def end(self: Any, chunk: Any, *args: Any, **options: Any) -> Any:
        changed = bool(chunk.get("changes"))
        if chunk.get("comment") != STOPPED:
            tell(event="end", id=str(chunk.get("__id__", "")), result=chunk.get("result"), changed=changed)
        return event(self, chunk, *args, **options)

    state.call, state.event = begin, end


def keep_compiled(folder: str) -> None:
    """Keep compiled templates in a folder: Salt compiles each anew, map.jinja once for every state that imports it."""
    import jinja2

    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103  (nothing else here needs pathlib)
    cache = jinja2.FileSystemBytecodeCache(folder)
    compile_anew = jinja2.Environment.compile

    def compile_once(self: Any, source: Any, name: Any = None, filename: Any = None, *rest: Any, **options: Any) -> Any:
        if rest or options or not isinstance(source, str):
            return compile_anew(self, source, name, filename, *rest, **options)
        # Not by its name: most have none. The code depends on these settings, too.
        known = f"{jinja2.__version__} {self.trim_blocks} {self.lstrip_blocks} {name} {source}"
        bucket = cache.get_bucket(self, known, filename, source)
        if bucket.code is None:
            bucket.code = compile_anew(self, source, name, filename)
            cache.set_bucket(bucket)
        return bucket.code

    jinja2.Environment.compile = compile_once  # type: ignore[method-assign]


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

    watch(salt.state.State, tell, options["stop"])
    if not options["test"]:  # a dry run leaves nothing behind
        keep_compiled(f"{options['config']}/compiled")
    sys.argv = [
        *("salt-call", f"--config-dir={options['config']}", "--local", "--retcode-passthrough"),
        *("--out=json", f"--out-file={options['out']}", "--log-level=warning", "state.highstate"),
        *(["test=True"] if options["test"] else []),
    ]
    sys.exit(salt_call())


main()
