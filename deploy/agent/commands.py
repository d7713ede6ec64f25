"""Run the app's own commands with the environment of a generation."""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploy.agent import generations, releases
from deploy.agent.errors import AgentError, Stopped
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.supervisors import proc

OUTPUT = 1 << 16  # characters of a command's output that are kept
GRACE = 5.0  # seconds between asking a command to end and killing it

Output = Callable[[str, str], None]
Left = Callable[[], bool]


def execute(
    argv: Sequence[str], environment: Mapping[str, str], cwd: str, timeout: float | None, output: Output, left: Left
) -> int:
    """Run a program in a process group of its own, pass on what it says, and leave nothing of it behind.

    `output` is called with `stdout` or `stderr` and text; `left` tells that nobody waits for the answer any more.

    Raises: AgentError timeout; Stopped.
    """
    try:
        process = subprocess.Popen(
            argv, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, bufsize=0,
        )  # fmt: skip
    except OSError as error:
        raise AgentError("cannot-run", f"{argv[0]}: {error.strerror}", hint="deploy the version again") from None
    with process:
        try:
            _pass_on(process, timeout, output, left)
            return process.wait()
        finally:
            _end_group(process)


def _pass_on(process: subprocess.Popen[bytes], timeout: float | None, output: Output, left: Left) -> None:
    end = None if timeout is None else time.monotonic() + timeout
    decoders = {}
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ, name)
            decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
        while selector.get_map():
            for key, _ in selector.select(0.2):
                data = os.read(key.fd, 1 << 16)
                text = decoders[key.data].decode(data, not data)
                if text:
                    output(key.data, text)
                if not data:
                    selector.unregister(key.fileobj)
            if process.poll() is not None and not selector.select(0):
                return  # what it left running may hold the pipes open for ever
            if left():
                raise Stopped
            if end is not None and time.monotonic() > end:
                raise AgentError(
                    "timeout", f"the command did not end within {timeout:g} s and was stopped", hint="raise its timeout"
                )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + GRACE
    number = signal.SIGTERM
    while proc.group(process.pid):  # those alive: zombies wait for an init that may take its time
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        process.poll()
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        if time.monotonic() > deadline + GRACE:
            return
        time.sleep(0.02)


def _prepared(layout: Layout, number: int | None) -> Generation:
    number = generations.current(layout) if number is None else number
    if number is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="name a generation")
    return generations.load(layout, number)


def run(
    layout: Layout, argv: Sequence[str], number: int | None, timeout: float | None, output: Output, left: Left
) -> dict[str, Any]:
    """Run `<release>/bin/python ARGV...` with the environment of a generation."""
    generation = _prepared(layout, number)
    python = f"{layout.release(generation.version)}/bin/python"
    with generations.in_use(layout, generation.number):
        code = execute(
            [python, *argv], generations.environment(layout, generation), str(layout.state), timeout, output, left
        )
    return {"returncode": code}


def migrate(
    layout: Layout, number: int, command: str, timeout: float | None, output: Output, left: Left
) -> dict[str, Any]:
    """Run one of the contract's commands.

    Raises: AgentError no-command, command-failed, timeout.
    """
    generation = _prepared(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    argv = wanted.contract.get("commands", {}).get(command)
    if not argv:
        raise AgentError(
            "no-command", f"release {generation.version} has no command {command!r}",
            hint=f"name it in [tool.slipway.commands] {command}",
        )  # fmt: skip
    said: list[str] = []

    def keep(stream: str, text: str) -> None:
        said.append(text)
        output(stream, text)

    python = f"{layout.release(generation.version)}/bin/python"
    began = time.monotonic()
    try:
        code = execute(
            [python, *argv], generations.environment(layout, generation), str(layout.state), timeout, keep, left
        )
    except AgentError as error:
        error.fields["detail"] = "".join(said)[-OUTPUT:]
        raise
    text = "".join(said)[-OUTPUT:]
    if code != 0:
        raise AgentError(
            "command-failed", f"{command} of release {generation.version} failed", expected="exit status 0",
            got=f"exit status {code}", detail=text, returncode=code, hint="its last lines say why",
        )  # fmt: skip
    if command == "migrate":
        generations.mark(layout, number, "migrated")
    return {"output": text, "seconds": round(time.monotonic() - began, 3)}
