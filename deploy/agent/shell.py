"""A prompt of the app on this terminal: `releasectl shell`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from deploy.agent import generations, releases
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.supervisors import supervisor_of

PYTHON = ["-q"]  # without its version and advice


def shell(layout: Layout) -> int:
    """Run the contract's `shell`, or Python, with the environment of the current generation; give its exit status."""
    try:
        if not sys.stdin.isatty():
            raise AgentError("no-terminal", "a shell needs a terminal", hint="run one command instead")
        return _shell(layout)
    except AgentError as error:
        hint = error.fields.get("hint")
        sys.stderr.write(f"releasectl: {error.message}\n" + (f"  -> {hint}\n" if hint else ""))
        return 1


def _shell(layout: Layout) -> int:
    number = generations.current(layout)
    if number is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="deploy first")
    generation = generations.load(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    if releases.image_of(layout, generation.version):
        raise AgentError("no-shell", "a shell in a container is not for this", hint="run one command instead")
    argv = wanted.contract.get("commands", {}).get("shell") or PYTHON
    with generations.in_use(layout, number):
        command = supervisor_of(layout).command(generation, argv, terminal=True)
        environment = {**command.environment, "TERM": os.environ.get("TERM", "dumb")}
        # Ctrl-C is for the prompt. A handler, because what is ignored stays ignored in the program that is started.
        signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return subprocess.run(command.argv, env=environment, cwd=command.cwd, check=False).returncode
        finally:
            command.clear_away()
