"""Switch a server by hand to a release that is installed: `use-release VERSION`, for servers that rpm looks after.

It asks the agent for what a rollout would: prepare, trial, migrate, seed, activate, with the variables and secrets that
lie in /etc. `--first` does nothing where something ran before, so that a unit can call it at each start.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.agent import generations, releases
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

USAGE = "usage: use-release [--first] VERSION\n"
ESCAPED = re.compile(r"\\(.)")


def main(argv: Sequence[str] | None = None) -> int:
    """Switch as the words say; give the exit status.

    `--name NAME [--root DIR --etc DIR --listen ADDRESS --processes web,worker] [--first] VERSION`
    """
    words = list(sys.argv[1:] if argv is None else argv)
    first = "--first" in words
    words = [word for word in words if word != "--first"]
    options = dict(zip(words[0:-1:2], words[1:-1:2]))
    if len(words) % 2 == 0 or "--name" not in options or words[-1].startswith("-"):
        sys.stderr.write(USAGE)
        return 2
    name, version = options["--name"], words[-1]
    layout = Layout.under(Path(options["--root"]), name) if "--root" in options else Layout.system(name)
    if first and generations.current(layout) is not None:
        return 0
    where = ["--root", options["--root"]] if "--root" in options else []
    try:
        use(layout, [*where, "--name", name], Path(options.get("--etc", f"/etc/{name}")), version, options)
    except AgentError as error:
        hint = error.fields.get("hint")
        sys.stderr.write(f"{name}: {error.message}\n" + (f"  -> {hint}\n" if hint else ""))
        return 1
    return 0


def use(layout: Layout, where: Sequence[str], etc: Path, version: str, options: dict[str, str]) -> None:
    """Make a generation of a release and what lies in /etc, and switch to it."""
    release = releases.load(layout, version)
    variables, secrets = read_variables(etc / f"{layout.name}.env"), read_secrets(etc / "credentials")
    if not variables and not secrets:
        raise AgentError("no-variables", f"{etc}/{layout.name}.env has no variable", hint="fill it, then try again")
    identity = (version, release.digest, generations.env_digest(variables, secrets))
    number = choose(layout, identity)
    contract = json.loads(release.text)["contract"]
    stop = before_contracts(json.loads(release.text)) if generations.current(layout) is not None else None
    processes, deadline = processes_of(layout, options.get("--processes")), contract["health"]["deadline"]
    listen = (options.get("--listen") or address(layout)) if "web" in processes else None
    say(f"{layout.name}: {version} as generation {number}, {f'on {listen}' if listen else ', '.join(processes)}")
    ask(where, "prepare", generation=number, version=version, digest=release.digest, variables=variables,
        secrets=secrets)  # fmt: skip
    ask(where, "trial", generation=number, check="live", deadline=deadline)
    for command in ("migrate", "init", "seed"):
        if command in contract["commands"]:
            ask(where, "migrate", generation=number, command=command, to=stop if command == "migrate" else None)
    ask(where, "activate", generation=number, deadline=deadline, listen=listen, processes=processes)
    say(f"{layout.name}: generation {number} serves")


def before_contracts(manifest: Mapping[str, Any]) -> str | None:
    """Say where to stop before the contract migrations at the end: other servers may need the shape before them."""
    kinds = [(migration["revision"], migration["kind"]) for migration in manifest.get("migrations", [])]
    expands = [revision for revision, kind in kinds if kind != "contract"]
    stops = any("{revision}" in word for word in manifest["contract"]["commands"].get("migrate", ()))
    return expands[-1] if stops and expands and kinds[-1][1] == "contract" else None


def processes_of(layout: Layout, asked: str | None) -> list[str]:
    """Say what of a generation this server runs: what was asked for, what it runs now, or at first web."""
    if asked:
        return asked.split(",")
    current = generations.current(layout)
    return ["web"] if current is None else generations.processes(layout, current)


def choose(layout: Layout, identity: tuple[str, str, str]) -> int:
    """Give the number of the newest generation when it is the one meant, or else the next number."""
    numbers = generations.numbers(layout)
    if numbers:
        newest = generations.load(layout, numbers[-1])
        if (newest.version, newest.digest, newest.env_digest) == identity:
            return newest.number
    return max(numbers, default=0) + 1


def read_variables(path: Path) -> dict[str, str]:
    """Read NAME=value lines as systemd's EnvironmentFile= does (systemd.exec(5)), one to a line.

    Raises: AgentError bad-environment.
    """
    found = {}
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        if not equals or not generations.NAME_PATTERN.match(name.strip()):
            raise AgentError("bad-environment", f"{path}:{number}: expected NAME=value")
        found[name.strip()] = unquote(value.strip())
    return found


def unquote(value: str) -> str:
    """Undo the quotes of a value."""
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r'\\(["\\`$])', r"\1", value[1:-1])
    return ESCAPED.sub(r"\1", value)


def read_secrets(folder: Path) -> dict[str, str]:
    """Read each secret from its file; the newline that editors leave is not part of it."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_text("utf-8").rstrip("\n") for path in sorted(folder.iterdir()) if path.is_file()}


def address(layout: Layout) -> str:
    """Ask systemd which address the socket has."""
    command = ["systemctl", "show", "--property=Listen", "--value", f"{layout.name}.socket"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    if not said:
        raise AgentError("no-units", f"systemd does not know {layout.name}.socket", hint="systemctl daemon-reload")
    return said[0]


def ask(where: Sequence[str], verb: str, **request: Any) -> None:
    """Have the agent carry out a verb, and pass on what it says meanwhile.

    Raises: AgentError with the agent's own code.
    """
    command = [sys.executable, "-m", "deploy.agent", *where, verb]
    done = subprocess.run(
        command, input=json.dumps(request) + "\n", stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ)
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer in answers:
        if "detail" in answer or "text" in answer:
            say(f"  {verb}: {str(answer.get('detail') or answer['text']).rstrip()}")
    if not answers or not answers[-1].get("ok"):
        error = answers[-1]["error"] if answers else {"code": "bug", "message": f"{verb} gave no answer"}
        parts = [f"{verb}: {error['message']}", *str(error.get("detail") or "").splitlines()[-10:]]
        raise AgentError(error["code"], "\n  ".join(parts), hint=error.get("hint"))


def say(text: str) -> None:
    """Tell the operator, or the journal, what is going on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
