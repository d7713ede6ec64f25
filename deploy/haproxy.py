"""HAProxy as a process of the embedded environment: its configuration, start, reload and end.

On a server Salt and systemd do this, with the same template.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from deploy import backends, sessions
from deploy.balancer import Balancer
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError

TEMPLATES = Path(__file__).parent.parent / "salt" / "haproxy" / "files"
BACKEND_NAME, SERVER_NAME = 1, 3  # columns of that format
PATIENCE = 60.0  # seconds for a start or a check of the configuration
EMPTY_STATE = "1\n"  # the version of the format, and no server (management guide, "show servers state")
CONFIG = "haproxy.cfg"
SWITCH = "run/maintenance"  # from HAProxy's directory: the list that closes the site while `on` is in it
PAGES = "errors"
ONLY_ON_SERVERS = {"user": "", "certificate": "", "stats": None}


class HaproxyError(SlipwayError):
    """HAProxy can't be run as the environment wants it."""


def render(environment: Environment, contract: Contract) -> str:
    """Write the configuration. Its description has a digest of itself, so that HAProxy can be asked what it runs."""
    from jinja2 import Environment as Jinja  # slow to import, and most tasks that come by here need none
    from jinja2 import FileSystemLoader, StrictUndefined

    # Not HTML, so nothing to escape.
    jinja = Jinja(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )

    def filled(digest: str) -> str:
        return jinja.get_template("haproxy.cfg.jinja").render(
            name=contract.name,
            digest=digest,
            listen=environment.file.balancer.listen,
            servers=[{"name": name, "address": host.listen} for name, host in environment.web.items()],
            health=contract.health.model_dump(exclude_none=True),
            sockets="run",  # relative to HAProxy's directory: a socket's path may have 107 bytes (unix(7))
            state="run/server-state",
            errors=PAGES,
            maintenance=SWITCH,
            **backends.of(contract, environment.file.balancer),
            traffic=contract.slipway.traffic(),
            **ONLY_ON_SERVERS,
        )

    return filled(hashlib.sha256(filled("").encode()).hexdigest()[:16])


def ensure(directory: Path, text: str, balancer: Balancer, fenced: Collection[str] = ()) -> str:
    """See that HAProxy runs with this configuration; say what was done: started, reloaded, or nothing.

    What was drained before a reload stays drained, and servers keep the address they have: a rollout moves them one by
    one. A fresh start begins with all servers ready but those that are `fenced`, at the addresses of the configuration.

    Raises: HaproxyError, and what ran before goes on.
    """
    running = balancer.answers()
    wanted = next(line.strip() for line in text.splitlines() if line.strip().startswith("description "))
    if running and f"description {balancer.description()}" == wanted:
        _write(directory / CONFIG, text)
        return ""
    candidate = f"{CONFIG}.new"
    _write(directory / candidate, text)
    shutil.copytree(TEMPLATES / PAGES, directory / PAGES, dirs_exist_ok=True)
    (directory / SWITCH).touch()
    states = directory / "run" / "server-state"
    _write(states, with_followers(balancer.save_state() if running else only(states, fenced), text))
    run(directory, "-c", "-f", candidate)
    takeover = ["-x", "run/admin.sock", "-sf", str(balancer.pid())] if running else []
    run(directory, "-D", "-f", candidate, "-p", "run/haproxy.pid", *takeover)
    wait(
        lambda: balancer.answers() and f"description {balancer.description()}" == wanted,
        "HAProxy does not answer on its runtime socket",
    )
    (directory / candidate).rename(directory / CONFIG)
    return "reloaded" if running else "started"


def with_followers(states: str, text: str) -> str:
    """Let the servers of a backend that is new begin where those are that they follow, not where they are to go. Pure.

    Else they would get requests at an address where nobody listens before the rollout has come to them.
    """
    rows = [row.split(" ") for row in states.splitlines(keepends=True)]
    known = {(row[BACKEND_NAME], row[SERVER_NAME]): row for row in rows if len(row) > SERVER_NAME}
    found = []
    for section in re.finditer(r"^backend (\S+)\n((?:[ \t]+.*\n|\n)*)", text, re.MULTILINE):
        for server, leader in re.findall(r"^\s+server (\S+) \S+ track (\S+)/", section[2], re.MULTILINE):
            row = known.get((leader, server))
            if row and (section[1], server) not in known:
                found.append(" ".join([*row[:BACKEND_NAME], section[1], *row[BACKEND_NAME + 1 :]]))
    return states.rstrip("\n") + "\n" + "".join(found) if found else states


def only(states: Path, servers: Collection[str]) -> str:
    """Give what a file says of some servers."""
    if not servers or not states.is_file():
        return EMPTY_STATE
    head, rows = (lines := states.read_text().splitlines(keepends=True))[:2], lines[2:]  # version, names of columns
    return "".join([*head, *(row for row in rows if any(row.split(" ")[SERVER_NAME:][:1] == [s] for s in servers))])


def stop(balancer: Balancer) -> None:
    """End HAProxy, when it runs."""
    if balancer.answers():
        pid = balancer.pid()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait(lambda: not Path(f"/proc/{pid}").exists(), f"HAProxy (pid {pid}) does not end")


def run(directory: Path, *arguments: str) -> None:
    """Run HAProxy in its directory.

    Raises: HaproxyError with its last words.
    """
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise HaproxyError("haproxy is not installed", hint="as root: apt-get install haproxy")
    try:
        done = subprocess.run(
            [program, *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=PATIENCE,
            env=sessions.without_secrets(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HaproxyError(f"haproxy {' '.join(arguments)} does not end within {PATIENCE:.0f} s") from None
    if done.returncode:
        raise HaproxyError("haproxy refuses", problems=tuple((done.stderr or done.stdout).strip().splitlines()[-8:]))


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def wait(is_so: Callable[[], bool], otherwise: str, timeout: float = 10.0) -> None:
    """Wait until something is so.

    Raises: HaproxyError.
    """
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            raise HaproxyError(otherwise)
        time.sleep(0.02)
