"""The command line: one request, or a session of many."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import BUILD, VERSION, arguments
from deploy.agent.channel import Channel
from deploy.agent.errors import AgentError, BadRequest, Stopped, from_os_error
from deploy.agent.layout import Layout
from deploy.agent.verbs import COMMON, PAYLOADS, VERBS, Agent, Verb

OK, FAILED, USAGE = 0, 1, 2


def usage() -> str:
    """Describe the command line and every verb."""
    width = max(len(name) for name in VERBS)
    lines = "\n".join(f"  {verb.name:<{width}}  {verb.help}" for verb in VERBS.values())
    return (
        "usage: releasectl (--root DIR | --name NAME) VERB      one request: JSON on the first line of the input\n"
        "       releasectl (--root DIR | --name NAME) session   many requests, one a line\n"
        "       releasectl --name NAME exec N [trial | run ARGV...]   what the units of systemd call\n"
        "       releasectl (--root DIR | --name NAME) shell     the app's own prompt, on this terminal\n"
        "       releasectl --name NAME start-current                  what brings it back at boot\n"
        "       releasectl (--root DIR) --name NAME watch [aside]     beside HAProxy: puts servers back into service\n"
        f"       releasectl --version\n\nverbs:\n{lines}\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; give the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["--help"], ["-h"]):
        sys.stdout.write(f"releasectl {VERSION}+{BUILD}\n" if words == ["--version"] else usage())
        return OK
    try:
        layout, words = _layout(words)
    except ValueError as error:
        return _unusable(str(error))
    if len(words) == 2 and words[0] == "keep":
        from deploy.agent.supervisors.keeper import keep

        return keep(words[1])
    if words[:1] in (["exec"], ["start-current"]):
        return _unit(layout, words)
    if words == ["shell"]:
        from deploy.agent.shell import shell

        return shell(layout)
    if words[:1] == ["watch"] and layout.name and words[1:] in ([], ["aside"]):
        return _watch(layout, aside=len(words) == 2)
    if len(words) != 1:
        return _unusable("one verb is expected")
    if words[0] not in VERBS and words[0] != "session":
        return _unusable(f"there is no verb {words[0]!r}")
    _listen_to_signals()
    os.umask(0o022)  # what others may read is decided here, not by whoever calls
    channel = Channel(sys.stdin.buffer, sys.stdout.buffer, session=words[0] == "session")
    try:
        return _session(layout, channel) if words[0] == "session" else _once(layout, channel, words[0])
    except Stopped:
        return FAILED
    finally:
        channel.abandon()


def _layout(words: list[str]) -> tuple[Layout, list[str]]:
    options: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, equals, value = words.pop(0).partition("=")
        if name not in ("--root", "--name"):
            raise ValueError(f"unknown option {name}")
        if not equals:
            if not words:
                raise ValueError(f"{name} needs a value")
            value = words.pop(0)
        options[name] = value
    if options.get("--root"):
        return Layout.under(Path(options["--root"]), options.get("--name")), words
    if options.get("--name"):
        if not arguments.VERSION.fits(options["--name"]):
            raise ValueError(f"{options['--name']!r} is no name")
        return Layout.system(options["--name"]), words
    raise ValueError("--root or --name is needed")


def _unit(layout: Layout, words: list[str]) -> int:
    """Do what a unit of systemd calls us for; what goes wrong is for the journal."""
    from deploy.agent.supervisors import PROCESSES, become, container, systemd

    mode, more = words[2:3], words[3:]
    beside = [[process] for process in PROCESSES]
    shape = mode in ([], ["trial"], *beside, ["run"], ["clear"]) and bool(more) == (mode == ["run"])
    shape = shape or (mode == ["clear"] and more in beside)
    if words[0] == "exec" and (len(words) < 2 or not words[1].isdigit() or not shape):
        named = "|".join(PROCESSES)
        return _unusable(f"expected exec N, exec N trial, exec N {named}, exec N run ARGV... or exec N clear [{named}]")
    if words[0] == "exec" and (mode == ["clear"] or container.is_one(layout, int(words[1]))):
        from deploy.agent.supervisors import handover

        return handover.run(layout, words[1:], os.environ)
    if not layout.systemd:
        return _unusable(f"{words[0]} is for systemd: it needs --name")
    if words[0] == "exec":
        return become.become(layout, words[1:])
    if len(words) > 1:
        return _unusable("start-current takes nothing")
    try:
        systemd.start_current(layout, lambda said: print(f"releasectl: {said}"))  # noqa: T201
    except AgentError as error:
        sys.stderr.write(f"releasectl: {error.message}\n")
        return FAILED
    return OK


def _watch(layout: Layout, *, aside: bool) -> int:
    """Put servers back whose deployer has vanished; `aside` leaves that to a process of its own."""
    from deploy.agent import restoring

    if not aside:
        return restoring.watch(layout)
    try:
        restoring.ensure(layout)
    except AgentError as error:
        sys.stderr.write(f"releasectl: {error.message}\n")
        return FAILED
    return OK


def _unusable(problem: str) -> int:
    sys.stderr.write(f"releasectl: {problem}\n\n{usage()}")
    return USAGE


def _listen_to_signals() -> None:
    import signal

    def stop(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # let what is half-done be undone
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def _once(layout: Layout, channel: Channel, verb: str) -> int:
    try:
        request = (None if sys.stdin.isatty() else channel.request()) or {}
        if request.setdefault("verb", verb) != verb:
            raise BadRequest("bad-request", f"the command line says {verb}, the request {request['verb']!r}")
    except AgentError as error:
        channel.fail(error.to_json())
        return FAILED
    return OK if answer(layout, channel, request) else FAILED


def _get_ready(layout: Layout) -> None:
    """Load what a session is asked first while that is still on its way."""
    if layout.releases.is_dir():
        from deploy.agent import status  # noqa: F401
        from deploy.agent.supervisors import supervisor_of

        supervisor_of(layout)
    elif layout.balancer.exists():
        from deploy.agent import balancer  # noqa: F401


def _session(layout: Layout, channel: Channel) -> int:
    _get_ready(layout)
    while not channel.deaf:
        try:
            request = channel.request()
        except AgentError as error:
            channel.fail(error.to_json())
            if error.code == "request-too-long":
                return FAILED
            continue
        if request is None:
            break
        answer(layout, channel, request)
        try:
            channel.skip_payload()
        except AgentError:
            return FAILED
    return OK


def answer(layout: Layout, channel: Channel, request: Mapping[str, Any]) -> bool:
    """Carry out one request and send its result or error; say whether it went well."""
    try:
        channel.succeed(_dispatch(layout, channel, request))
        return True
    except AgentError as error:
        channel.fail(error.to_json())
    except OSError as error:
        channel.fail(from_os_error(error).to_json())
    except Stopped:
        channel.fail(
            {"code": "stopped", "message": "the agent was told to stop", "hint": "the same call again goes on"}
        )
        raise
    except Exception as error:
        import traceback

        traceback.print_exc()
        channel.fail(
            {"code": "bug", "message": f"{type(error).__name__}: {error}", "hint": "report this with the traceback"}
        )
    return False


def _dispatch(layout: Layout, channel: Channel, request: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in request.items() if key not in ("id", "verb")}
    length = given.get("length")
    if request.get("verb") in PAYLOADS and type(length) is int and length >= 0:
        channel.payload(length)  # even a refused request has its payload behind it
    problem = arguments.unsound(request)
    if problem:
        raise BadRequest(
            "bad-request", f"the request {problem}", expected="JSON as it is written by the operator's side"
        )
    name = request.get("verb")
    verb = VERBS.get(name) if isinstance(name, str) else None
    if verb is None:
        raise BadRequest(
            "unknown-verb", f"there is no verb {name!r}", expected=", ".join(VERBS),
            hint="the agent may be older than the operator's side: bootstrap again",
        )  # fmt: skip
    own = {argument.name for argument in verb.arguments}
    common = tuple(argument for argument in COMMON if argument.name not in own)
    values = arguments.check(verb.name, (*verb.arguments, *common), given)
    settings = {argument.name: values.pop(argument.name) for argument in common}
    agent = Agent(layout, channel)
    if verb.bare:
        layout.var.mkdir(parents=True, exist_ok=True)
    elif verb.name not in ("status", "missing"):
        layout.make()
    if verb.fenced and settings["token"] is not None:
        _refuse_overtaken(agent, settings["token"])
    with _writing(agent, verb, settings) if verb.writes else contextlib.nullcontext():
        if settings["ledger"] is None:
            return verb.carry_out(agent, **values)
        return _recorded(agent, verb, values, settings["ledger"])


@contextlib.contextmanager
def _writing(agent: Agent, verb: Verb, settings: Mapping[str, Any]) -> Iterator[None]:
    """Hold the lock, refuse who was overtaken, and clear away what a killed agent left."""
    from deploy.agent import files

    with files.locked(agent.layout.lock, timeout=settings["lock_timeout"], what=verb.name):
        if settings["token"] is not None:
            _refuse_overtaken(agent, settings["token"])
        for folder in {agent.layout.tmp, agent.layout.private}:
            files.sweep(folder)
        yield


def _refuse_overtaken(agent: Agent, token: int) -> None:
    from deploy.agent import lease

    lease.check_token(agent.layout, token)


def _recorded(agent: Agent, verb: Verb, values: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    from deploy.agent import ledger

    began = time.monotonic()

    def record(phase: str, **more: Any) -> None:
        ledger.append(agent.layout, [{"kind": verb.name, **entry, "phase": phase, **more}])

    record("begin")
    try:
        result = verb.carry_out(agent, **values)
    except BaseException as error:
        detail = f"{error.code}: {error.message}" if isinstance(error, AgentError) else type(error).__name__
        record("failed", detail=detail, seconds=round(time.monotonic() - began, 3))
        raise
    record("end", seconds=round(time.monotonic() - began, 3))
    return result
