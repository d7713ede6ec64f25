"""The application's own commands, and its prompt, on one host."""

from __future__ import annotations

from typing import Any


def run(c: Any, environment: str, command: str, host: str = "", json: bool = False) -> None:
    """Run one command of the application in ENV, in the current generation: fab run:ENV "db current"."""
    import shlex
    import sys

    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    with connect(settings, contract.name) as hosts:
        common.only_one(hosts, host)
        hosts.require_bootstrap()
        agent = next(iter(hosts.agents.values()))

        def show(event: Any) -> None:
            if json:
                common.say_json({"host": agent.host, "stream": event["stream"], "text": event["text"]})
                return
            stream = sys.stderr if event["stream"] == "stderr" else sys.stdout
            stream.write(event["text"])
            stream.flush()

        argv = ["-m", contract.app.partition(":")[0].partition(".")[0], *shlex.split(command)]
        answer = agent.request("run", {"argv": argv, "generation": None, "timeout": None}, silence=None, on_event=show)
    if json:
        common.say_json({"host": agent.host, "exit": answer["returncode"]})
    common.leave(answer["returncode"])


run.help = {  # type: ignore[attr-defined]
    "command": "arguments of the application's own command line",
    "host": "which host; by default the first",
    "json": "an object for each piece of output, and one with the exit code",
}


def shell(c: Any, environment: str, host: str = "") -> None:
    """Open the application's own prompt, or Python, in ENV, in the current generation."""
    import signal
    import subprocess
    import sys

    from deploy.errors import SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    if not sys.stdin.isatty():
        raise SlipwayError("a shell needs a terminal", hint=f'fab run:{environment} "COMMAND" runs one command')
    with connect(settings, contract.name) as hosts:
        common.only_one(hosts, host)
        hosts.require_bootstrap()
        (name,) = hosts.agents
        sys.stderr.write(f"{name} of {environment}; Ctrl-D leaves\n")
        sys.stderr.flush()
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the prompt
        done = subprocess.run(hosts.shell(name), check=False)
    common.leave(done.returncode)


shell.help = {"host": "which host; by default the first"}  # type: ignore[attr-defined]
