"""A Docker engine: the one that runs here, or one of our own, started for as long as it is needed.

Ours keeps everything below `var/docker`, has no default bridge and touches no firewall rule, so that it disturbs
neither the machine's network nor another engine.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.errors import SlipwayError

STATE = Path("var/docker")
SOCKET = "docker.sock"
_START = 30  # seconds; 0.5 measured
_STOP = 20
_LONGEST = 100  # bytes of a socket's path: sun_path has 108


class EngineError(SlipwayError):
    """No Docker engine can be had."""


@contextlib.contextmanager
def running(state: Path = STATE) -> Iterator[Any]:
    """Give a client of the machine's engine, or of one that is started now and stopped by its last user."""
    with _of_machine() as client:
        if client is not None:
            yield client
            return
    with _ours(state.resolve()) as client:
        yield client


@contextlib.contextmanager
def found() -> Iterator[Any | None]:
    """Give a client of the engine that can be had here, or None."""
    with _of_machine() as client:
        if client is not None:
            yield client
            return
    if problem() is not None:
        yield None
        return
    with _ours(STATE.resolve()) as client:
        yield client


def problem() -> str | None:
    """Say why no engine of our own can be started; None when one can."""
    if os.geteuid() != 0:
        return "no Docker engine answers, and starting one needs root"
    if _dockerd() is None:
        return "no Docker engine answers, and dockerd is missing (apt-get install docker.io)"
    return None


def is_ours(client: Any) -> bool:
    """Say whether a client talks to an engine that we started."""
    return "slipway=own" in (client.info().get("Labels") or [])


@contextlib.contextmanager
def _of_machine() -> Iterator[Any | None]:
    """Ask the engine that DOCKER_HOST or the usual socket leads to."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if host.startswith("unix://") and not _answers(Path(host.removeprefix("unix://"))):
        yield None
        return
    import docker  # here, for it takes a fifth of a second that no other command should pay

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except (docker.errors.DockerException, OSError):
        yield None
        return
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def _ours(state: Path) -> Iterator[Any]:
    """Start our engine unless it runs; whoever leaves last stops it."""
    import docker

    if (reason := problem()) is not None:
        raise EngineError(
            reason, hint="as root: apt-get install docker.io; or start a Docker engine, or set DOCKER_HOST"
        )
    path = state / SOCKET
    if len(os.fsencode(path)) > _LONGEST:
        raise EngineError(f"{path}: the path of a socket can't be that long", hint="use a checkout in a shorter path")
    state.mkdir(parents=True, exist_ok=True)
    with (state / "starting").open("w") as starting, (state / "users").open("w") as users:
        fcntl.flock(starting, fcntl.LOCK_EX)  # one at a time decides whether to start or to stop
        fcntl.flock(users, fcntl.LOCK_SH)  # held by each user: the kernel lets go of it, however the user ended
        _ensure(state)
        client = docker.DockerClient(base_url=f"unix://{path}", version="auto", timeout=120)
        fcntl.flock(starting, fcntl.LOCK_UN)
        try:
            yield client
        finally:
            client.close()
            fcntl.flock(starting, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop(state)


def _ensure(state: Path) -> None:
    """Start the engine, and wait until it answers."""
    if _answers(state / SOCKET):
        return
    _stop(state)
    command = [
        *(str(_dockerd()), "--host", f"unix://{state / SOCKET}", "--group", "root", "--label", "slipway=own"),
        *("--data-root", str(state / "data"), "--exec-root", str(state / "run"), "--pidfile", str(state / "pid")),
        *("--storage-driver", "overlay2", "--bridge", "none", "--iptables=false", "--ip6tables=false"),
        *("--log-level", "warn"),
    ]
    environ = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    with (state / "log").open("wb") as log:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )
    deadline = time.monotonic() + _START
    while not _answers(state / SOCKET):
        if started.poll() is not None or time.monotonic() > deadline:
            _stop(state)
            said = (state / "log").read_text(errors="replace").splitlines()
            raise EngineError("dockerd could not be started here", problems=tuple(said[-4:]), hint=f"less {state}/log")
        time.sleep(0.05)
    # It outlives us when others still use it, and is then not ours to wait for.
    started.returncode = 0


def _answers(path: Path) -> bool:
    """Ask an engine whether it is there, without a client: one that fails when it is made leaves sockets open."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
        except OSError:
            return False


def _stop(state: Path) -> None:
    """Stop our engine by its pid, if the process of that number is it."""
    try:
        pid = int((state / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    if os.fsencode(state / "pid") not in command.split(b"\0"):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ChildProcessError):  # somebody else's child
        os.waitpid(pid, 0)  # its first thread is gone; the others follow at once
    for place in sorted(
        (state / "run/netns").glob("*")
    ):  # of containers on the host's network: they keep a folder alive
        subprocess.run(["umount", place], check=False, capture_output=True)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _dockerd() -> str | None:
    return shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
