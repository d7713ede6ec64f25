"""What both supervisors share: how gunicorn is called, asked and described."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from deploy.agent import health, releases
from deploy.agent.errors import AgentError, NotServing
from deploy.agent.generations import load
from deploy.agent.layout import Layout
from deploy.agent.manifest import Manifest
from deploy.agent.supervisors import WEB, Running, Say, number_of, proc

TAIL = 20  # lines of log in an error
MARGIN = 10  # seconds beyond graceful_timeout before a kill: gunicorn itself needs a moment (TimeoutStopSec in facts)
SERVER = {"workers": 2, "threads": 8, "timeout": 60, "graceful_timeout": 30, "keepalive": 75}
# `python -m gunicorn`, which leaves when its exit handlers (atexit) are done instead of taking its modules apart, too.
# In forked workers that copies every page they share: 0.3 to 0.5 s of processor time a stop, as much as a start.
# Registered first, it runs last. multiprocessing ends its children in the same way.
LAUNCH = """\
import atexit, os, sys
status = [1]
@atexit.register
def leave():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status[0])
from gunicorn.app.wsgiapp import run
try:
    run()
    status[0] = 0
except SystemExit as end:
    status[0] = end.code if isinstance(end.code, int) else int(end.code is not None)
    raise
"""


def gunicorn(wanted: Manifest, python: str, name: str, *, workers: int | None = None) -> list[str]:
    """Build the command line. The sockets come by LISTEN_FDS: gunicorn then never unlinks or closes what is shared.

    `--bind fd://N --bind unix:…` does not work: gunicorn drops every other address once one is a descriptor (sock.py).
    """
    server = {**SERVER, **wanted.contract.get("server", {})}
    argv = [python, "-c", LAUNCH, *([] if wanted.contract.get("no_preload") else ["--preload"])]
    argv += ["--worker-class", str(wanted.contract.get("worker_class", "gthread")), "--name", name]
    threads = (
        server["threads"] if "worker_class" not in wanted.contract else 1
    )  # gunicorn makes sync with threads gthread
    argv += ["--workers", str(workers or server["workers"]), "--threads", str(threads)]
    argv += ["--timeout", str(server["timeout"]), "--graceful-timeout", str(server["graceful_timeout"])]
    argv += ["--keep-alive", str(server["keepalive"])]
    if wanted.contract.get("proxy_scheme"):  # only load balancers get to its port, and they say what the client used
        argv += ["--forwarded-allow-ips", "*"]
    if os.access("/dev/shm", os.W_OK):  # noqa: S108 - a heartbeat file on a slow disk gets healthy workers killed
        argv += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
    major = str(wanted.raw.get("distributions", {}).get("gunicorn", "0")).split(".")[0]
    if major.isdigit() and int(major) >= 25:
        argv.append("--no-control-socket")
    return [*argv, wanted.contract["app"]]


def grace(layout: Layout, key: str) -> float:
    """Tell how long processes of a generation may take to finish what they are at, in seconds."""
    process = key.rpartition("-")[0]
    try:
        contract = releases.load(layout, load(layout, number_of(key)).version).contract
    except AgentError:
        return float(SERVER["graceful_timeout"] + MARGIN)
    if process in contract.get("processes", {}):
        return float(contract["processes"][process]["stop_seconds"] + MARGIN)
    return float({**SERVER, **contract.get("server", {})}["graceful_timeout"] + MARGIN)


def whose(key: str) -> str:
    """Name processes for a person."""
    process, _, number = key.rpartition("-")
    return f"the {process} of generation {number}" if process not in ("", "trial") else f"generation {number}"


def finishing(keys: Iterable[str]) -> str:
    """Say who is waited for."""
    return f"{', '.join(map(whose, keys))}: what is in hand is finished"


def died(key: str, words: str) -> NotServing:
    """Say that processes ended while they should have come up; `words` are the last lines of their log."""
    process = key.rpartition("-")[0]
    return NotServing(
        "died", f"{whose(key)} died while starting",
        expected="a running gunicorn" if process in ("", "trial") else f"a running {process}",
        got="no process", detail=words, hint="its last lines say why",
    )  # fmt: skip


def wait(
    layout: Layout,
    key: str,
    wanted: Manifest,
    check: str,
    deadline: float,
    *,
    check_alive: Callable[[], None],
    tail: Callable[[], str],
    say: Say,
) -> health.Answer:
    """Wait until a generation answers 200 to its `live` or `ready` check; `check_alive` raises when it is gone.

    Raises: NotServing died, not-ready, timeout.
    """
    settings = wanted.contract.get("health", {})
    url, host = settings.get(check, "/livez" if check == "live" else "/readyz"), settings.get("host", "localhost")
    try:
        answer = health.wait(layout.run_file(key, "sock"), url, host, deadline, check_alive, say)
        if check == "ready":
            health.smoke(layout.run_file(key, "sock"), pages(wanted), host, deadline)
        return answer
    except NotServing as error:
        error.fields.setdefault("detail", tail())
        raise


def pages(wanted: Manifest) -> list[dict[str, Any]]:
    """Give the pages of the contract's `smoke`; `{version}` in a text is the release's."""
    return [
        {**page, "text": page["text"] and page["text"].replace("{version}", wanted.version)}
        for page in wanted.contract.get("smoke", [])
    ]


def describe(layout: Layout, running: Iterable[Running], ask: Callable[[str], Manifest | None]) -> list[dict[str, Any]]:
    """Describe the living generations, and whether each says that it is ready; trials are left out."""
    from deploy.agent.supervisors import container  # here: it needs this module

    found = []
    for process in running:
        if process.process == "trial":
            continue
        if process.process != WEB:
            found.append(_beside(process))
            continue
        wanted, master = ask(process.key), container.master(layout, process.key) or process.pid
        status, workers = None, proc.children(master)
        if wanted:
            settings = wanted.contract.get("health", {})
            path, host = layout.run_file(process.key, "sock"), settings.get("host", "localhost")
            status = health.ask(path, settings.get("ready", "/readyz"), host, 1.0).status
        found.append(
            {
                "generation": process.generation,
                "process": WEB,
                "pid": process.pid,
                "workers": len(workers),
                "children": sorted(workers),
                "memory": max(map(proc.memory, workers), default=0),
                "restarts": process.restarts,
                "since": process.since,
                # Workers of a killed master still answer for a second, and then they are gone.
                "ready": status == 200 and proc.start_time(master) is not None if status is not None else None,
                "status": status,
                "listen": process.listen,
            }
        )
    return found


def _beside(process: Running) -> dict[str, Any]:
    children = proc.children(process.pid)
    return {
        "generation": process.generation,
        "process": process.process,
        "pid": process.pid,
        "workers": len(children),
        "children": sorted(children),
        "restarts": process.restarts,
        "since": process.since,
        "ready": process.said_ready and not process.leaving,
        "status": None,
        "listen": None,
    }
