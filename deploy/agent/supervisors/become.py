"""What a unit's process does before it is the app: `releasectl exec N`, as the service's own user."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from deploy.agent import files, furnish, generations, health, overlay, releases
from deploy.agent.errors import AgentError, in_a_line
from deploy.agent.generations import Generation
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import PROCESSES, beside, serving
from deploy.agent.supervisors.spawn import FIRST

META = "meta.json"  # the credential that says what the generation is


def become(layout: Layout, words: Sequence[str]) -> int:
    """Turn into gunicorn of a generation, a trial, a worker or a command of it; give 1 when that can't be.

    `words` are `N`, `N trial`, `N worker|scheduler` or `N run ARGV...`.
    """
    try:
        _become(layout, int(words[0]), words[1] if len(words) > 1 else "serve", list(words[2:]), os.environ)
    except (AgentError, OSError) as error:
        os.write(2, f"releasectl: generation {words[0]} can't start: {in_a_line(error)}\n".encode(errors="replace"))
    return 1


def _become(layout: Layout, number: int, mode: str, argv: list[str], given: Mapping[str, str]) -> NoReturn:
    generation, variables = understand(layout, number, given)
    wanted = releases.load(layout, generation.version)
    if wanted.digest != generation.digest:
        raise AgentError("tampered", f"the manifest of release {generation.version} is not the one meant")
    python = f"{layout.release(generation.version)}/bin/python"
    os.chdir(layout.state)
    variables = furnish.complete(layout.state, wanted.contract, variables, generation.secrets)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so across exec
    if mode == "run":
        os.execve(python, [python, *argv], variables)  # noqa: S606
    if given.get("NOTIFY_SOCKET"):
        variables["NOTIFY_SOCKET"] = given["NOTIFY_SOCKET"]
    if mode in PROCESSES:
        os.execve(python, beside.command(wanted, mode, python), variables)  # noqa: S606
    key = f"trial-{number}" if mode == "trial" else str(number)
    count = 0 if mode == "trial" else inherited(given)
    bind(layout, key, FIRST + count)
    variables |= {"LISTEN_FDS": str(count + 1), "LISTEN_PID": str(os.getpid())}
    command = _gunicorn(wanted, python, key, trial=mode == "trial")
    os.execve(python, command, variables)  # noqa: S606


def _gunicorn(wanted: Manifest, python: str, key: str, *, trial: bool) -> list[str]:
    return serving.gunicorn(wanted, python, f"{wanted.raw.get('name', 'app')}@{key}", workers=1 if trial else None)


def understand(layout: Layout, number: int, given: Mapping[str, str]) -> tuple[Generation, dict[str, str]]:
    """Read the generation and its variables out of the credentials that systemd handed over.

    Raises: AgentError bad-unit, bad-generation.
    """
    folder = given.get("CREDENTIALS_DIRECTORY", "")
    try:
        with open(f"{folder}/{META}", "rb") as file:
            generation = generations.parse(number, file.read())
    except FileNotFoundError:
        raise AgentError(
            "bad-unit", f"the unit hands over no credential {META}",
            hint=f"it needs LoadCredential={META}:{layout.generations}/%i/{META}",
        ) from None  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError("bad-generation", f"its {META} can't be read: {error}") from None
    prefix = f"{folder}/{layout.name}_"
    lacking = [name for name in generation.secrets if not os.path.exists(f"{prefix}{name}")]
    if lacking:
        raise AgentError(
            "bad-unit", f"the unit hands over no secret {', '.join(lacking)}",
            hint=f"it needs LoadCredential={layout.name}:{layout.generations}/%i/credentials",
        )  # fmt: skip
    variables = generations.environment(layout, generation, prefix)
    if os.path.exists(f"{folder}/{overlay.FILE}"):
        variables = overlay.laid_over(variables, f"{folder}/{overlay.FILE}", f"{folder}/{layout.name}-once_")
    return generation, variables


def overlay_credentials(name: str, folder: Path) -> list[str]:
    """Say for LoadCredential= how an overlay is handed over; `understand` finds it under these names."""
    found = [f"{overlay.FILE}:{folder}/{overlay.FILE}"]
    if os.listdir(folder / overlay.SECRETS):
        found.append(f"{name}-once:{folder}/{overlay.SECRETS}")
    return found


def inherited(given: Mapping[str, str]) -> int:
    """Count the sockets that came with us (sd_listen_fds(3)).

    Raises: AgentError bad-unit: gunicorn would come up, be ready on its private socket, and serve nobody.
    """
    count = given.get("LISTEN_FDS", "")
    if given.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        raise AgentError(
            "bad-unit", "no listening socket came with the unit", hint="it needs Sockets=, and a running socket"
        )
    return int(count)


def bind(layout: Layout, key: str, descriptor: int) -> None:
    """Bind the private socket of a generation and give it this very descriptor."""
    path = layout.run_file(key, "sock")
    files.remove(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as private:
        health.reach(path, private.bind)
        private.listen(64)
        aside = fcntl.fcntl(private.fileno(), fcntl.F_DUPFD, descriptor + 64)
    os.dup2(aside, descriptor, inheritable=True)
    os.close(aside)
