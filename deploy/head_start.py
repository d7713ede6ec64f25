"""Sessions that begin before the rest of this program is loaded: a key exchange takes as long as all the imports.

Who opens the sessions of an environment leaves word of the commands; the next `fab` of that environment begins them
first of all (packaging/fab), as long as its file has not changed. A session that nobody takes is ended in the end. This
module is loaded before anything else: it imports next to nothing.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deploy import sessions, ssh_sockets
from deploy.errors import SlipwayError
from deploy.sessions import Session

APART = {"bootstrap", "destroy", "highstate", "pillar", "run", "secrets", "shell"}  # don't speak with all agents
HELP = {"--help", "-h", "--list", "-l"}

_begun: list[tuple[list[str], Session]] = []


def begin(words: Sequence[str], folder: str) -> None:
    """Begin the sessions that the task among the words on the command line will ask for, where it is known which."""
    task, _, environment = next((word.partition(",")[0] for word in words if ":" in word), "").partition(":")
    if task in APART or HELP.intersection(words) or "/" in environment:
        return
    commands = _read(environment, Path(folder))
    if not commands:
        return
    with suppress(SlipwayError, OSError, ValueError):  # whoever opens sessions later says what is wrong
        ssh_sockets.directory()
        for command in commands:
            _begun.append((command, sessions.begin(command)))
    atexit.register(end)


def take(command: Sequence[str]) -> Session | None:
    """Give the session that was begun by this very command, if there is one."""
    found = next((entry for entry in _begun if entry[0] == list(command)), None)
    if found is None:
        return None
    _begun.remove(found)
    return found[1]


def remember(environment: str, root: Path, commands: Sequence[Sequence[str]]) -> None:
    """Leave word of how the sessions of an environment begin. What can't be written is not missed."""
    wanted = [list(command) for command in commands]
    if _read(environment, root) == wanted:
        return
    record = _record(environment, root)
    fresh = record.with_name(f"{record.name}.{os.getpid()}")
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"rests on": _basis(environment, root), "commands": wanted})
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(record)


def end() -> None:
    """End the sessions that nobody took."""
    while _begun:
        _, session = _begun.pop()
        sessions.end(session.process, kill=True)
        session.stderr.close()


def _record(environment: str, root: Path) -> Path:
    return root / "var" / "head-start" / f"{environment}.json"


def _read(environment: str, root: Path) -> list[list[str]]:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        kept = json.loads(_own_text(_record(environment, root)))
        if kept["rests on"] == _basis(environment, root) and all(map(_is_command, kept["commands"])):
            return [list(command) for command in kept["commands"]]
    return []


def _own_text(path: Path) -> str:
    """Read a file that only its owner, who is us, can have written: what it says is run.

    Raises: OSError.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError(f"{path} may have been written by others")
        return file.read()


def _is_command(command: object) -> bool:
    return isinstance(command, list) and bool(command) and all(isinstance(w, str) and "\0" not in w for w in command)


def _basis(environment: str, root: Path) -> list[str]:
    """Give what the commands are made of: when it is another, so may they be."""
    file = root / "deploy" / "environments" / f"{environment}.toml"
    return [file.read_text(encoding="utf-8"), os.environ.get("XDG_RUNTIME_DIR", "")]
