"""Run the app's own commands with the environment of a generation."""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from deploy.agent import generations, once, overlay, releases
from deploy.agent.errors import AgentError, Stopped
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.overlay import Overlay
from deploy.agent.supervisors import proc, supervisor_of

OUTPUT = 1 << 16  # characters of a command's output that are kept
GRACE = 5.0  # seconds between asking a command to end and killing it

TELL = 10.0  # seconds of silence after which we say that we are still there


class Asker(Protocol):
    """Whoever asked for a command."""

    def output(self, stream: str, text: str) -> None:
        """Take what the command says on `stdout` or `stderr`."""

    def say(self, detail: str) -> None:
        """Take note of what goes on."""

    def left(self) -> bool:
        """Tell that nobody waits for the answer any more."""


def execute(argv: Sequence[str], environment: Mapping[str, str], cwd: str, timeout: float | None, asker: Asker) -> int:
    """Run a program in a process group of its own, pass on what it says, and leave nothing of it behind.

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
            _pass_on(process, timeout, asker)
            return process.wait()
        finally:
            _end_group(process)


def _pass_on(process: subprocess.Popen[bytes], timeout: float | None, asker: Asker) -> None:
    began = told = time.monotonic()
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
                    asker.output(key.data, text)
                    told = time.monotonic()
                if not data:
                    selector.unregister(key.fileobj)
            if process.poll() is not None and not selector.select(0):
                return  # what it left running may hold the pipes open for ever
            now = time.monotonic()
            if asker.left():
                raise Stopped
            if now - told > TELL:
                told = now
                asker.say(f"the command runs since {now - began:.0f} s")
            if timeout is not None and now - began > timeout:
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


def run(layout: Layout, argv: Sequence[str], number: int | None, timeout: float | None, asker: Asker) -> dict[str, Any]:
    """Run `<release>/bin/python ARGV...` with the environment of a generation."""
    generation = _prepared(layout, number)
    with generations.in_use(layout, generation.number):
        return {"returncode": _of_generation(layout, generation, argv, timeout, asker)}


def _of_generation(
    layout: Layout,
    generation: Generation,
    argv: Sequence[str],
    timeout: float | None,
    asker: Asker,
    replaced: Overlay | None = None,
) -> int:
    with overlay.written(layout, replaced) as folder:
        command = supervisor_of(layout).command(generation, argv, folder)
        try:
            return execute(command.argv, command.environment, command.cwd, timeout, asker)
        finally:
            command.clear_away()


class Recorder:
    """An asker who keeps what the command said."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._said: list[str] = []
        self.say, self.left = asker.say, asker.left

    def output(self, stream: str, text: str) -> None:
        """Keep it, and pass it on."""
        self._said.append(text)
        self._asker.output(stream, text)

    @property
    def text(self) -> str:
        """Give the last that was said."""
        return "".join(self._said)[-OUTPUT:]


REVISION = "{revision}"  # in the words of `migrate`: where it stops


def migrate(
    layout: Layout, number: int, command: str, to: str | None, timeout: float | None, asker: Asker, replaced: Overlay
) -> dict[str, Any]:
    """Run one of the contract's commands, with the generation's variables or what replaces them this once.

    `to` is the revision that `migrate` stops at; by default it is the last one that the release knows.

    Raises: AgentError bad-environment, no-command, no-revision, command-failed, timeout.
    """
    generations.check_environment(replaced.variables, replaced.secrets)
    generation = _prepared(layout, number)
    wanted = releases.require_complete(layout, generation.version, generation.digest)
    argv = wanted.contract.get("commands", {}).get(command)
    if not argv:
        raise AgentError(
            "no-command", f"release {generation.version} has no command {command!r}",
            hint=f"name it in [tool.slipway.commands] {command}",
        )  # fmt: skip
    if command == "init":
        if why := once.reason_against(layout, wanted.contract):
            return {"output": f"not run: {why}", "seconds": 0.0}
        once.note(layout, once.BEGUN)
    revision = _revision(wanted, argv, to) if command == "migrate" else to or ""
    argv = [generations.filled(layout, generation, word.replace(REVISION, revision or "head")) for word in argv]
    recorder = Recorder(asker)
    began = time.monotonic()
    check = [generations.filled(layout, generation, word) for word in _check_of(wanted, command, to) or ()]
    if check and _of_generation(layout, generation, check, timeout, recorder, replaced) == 0:
        generations.mark_migrated(layout, number, revision)
        return {"output": "not run: migrate_check finds the schema as it should be", "seconds": 0.0}
    try:
        code = _of_generation(layout, generation, argv, timeout, recorder, replaced)
    except AgentError as error:
        error.fields["detail"] = recorder.text
        raise
    if code != 0:
        raise _failed(f"{command} of release {generation.version} failed", code, recorder)
    if command == "init":
        once.note(layout, once.DONE)
    if check and (code := _of_generation(layout, generation, check, timeout, recorder, replaced)):
        raise _failed(
            f"after migrate of release {generation.version}, its migrate_check is not content", code, recorder
        )
    if command == "migrate":
        generations.mark_migrated(layout, number, revision)
    return {"output": recorder.text, "seconds": round(time.monotonic() - began, 3)}


def _failed(what: str, code: int, recorder: Recorder) -> AgentError:
    return AgentError(
        "command-failed", what, expected="exit status 0", got=f"exit status {code}",
        detail=recorder.text or "it said nothing", returncode=code, hint="its last lines say why",
    )  # fmt: skip


def _check_of(wanted: Manifest, command: str, to: str | None) -> Sequence[str] | None:
    """Give the command that says whether the schema is the release's; none when migrations are to stop before that."""
    known = wanted.raw.get("migrations", [])
    if command != "migrate" or (to is not None and known and to != known[-1].get("revision")):
        return None
    check: Sequence[str] | None = wanted.contract.get("commands", {}).get("migrate_check")
    return check


def _revision(wanted: Manifest, argv: Sequence[str], to: str | None) -> str:
    """Choose where `migrate` stops; empty when the release has no migrations."""
    known = [str(migration.get("revision")) for migration in wanted.raw.get("migrations", [])]
    if to is None:
        return known[-1] if known else ""
    if to not in known:
        raise AgentError("no-revision", f"release {wanted.version} has no revision {to}", expected=", ".join(known))
    if not any(REVISION in word for word in argv):
        raise AgentError(
            "no-revision", f"the migrate command of {wanted.version} can't be told to stop at {to}",
            hint=f'put "{REVISION}" into [tool.slipway.commands] migrate',
        )  # fmt: skip
    return to
