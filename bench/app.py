"""What a request to the reference application costs, beside the least that its frameworks can do.

    make bench-app              # or: .venv/bin/python bench/app.py --rounds 5 --databases sqlite,postgresql,mariadb

Every server runs with the settings of the contract, on this machine, in turn; each round asks all of them, so that what
the neighbours do hits all alike. Ratios are of processor time for a request, and of requests a second; quote them, not
seconds.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: its packaging.py would be taken for the library

from bench import inside  # noqa: E402  (this script runs from anywhere)
from bench.asking import Measured, Server, get, post, serving  # noqa: E402

EMAIL, PASSWORD = "bench@example.org", "correct horse battery staple"
LISBON = "/api/v1/places/2267057"
REQUESTS = {
    "/livez": get("/livez"),
    "one place by id": get(LISBON),
    "search": get("/api/v1/places?q=lisb"),
    "nearest": get("/api/v1/places/nearest?lat=48.86&lon=2.35"),
    "log in": post("/api/v1/auth/tokens", f'{{"email": "{EMAIL}", "password": "{PASSWORD}"}}'.encode()),
}
BARE = {"hello": get("/hello")}
GOALS = {"/livez": 0.9, "one place by id": 0.5}
STARTS = {"gazetteer": "import app.wsgi", "bare Flask": "import bench.hello", "Python": "pass"}


def main() -> int:
    """Run the rounds and print tables."""
    parser = argparse.ArgumentParser(description="Time the reference application beside bare frameworks.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--databases", default="sqlite", help="of search and nearest in this process; empty: none")
    parser.add_argument("--ten-times", default="sqlite", help="of these, with ten times as many rows, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-app-") as scratch:
        folder = Path(scratch)
        environ = prepare(folder)
        print_starts(environ, options.rounds)
        print_requests(*ask_all(folder, environ, options.rounds, options.requests))
        for kind in filter(None, options.databases.split(",")):
            place = folder / kind
            place.mkdir()
            for size, found in inside.measure(kind, place, ten_times=kind in options.ten_times.split(",")):
                print(f"{kind}, {size}: p99 of", ", ".join(f"{name} {p99 * 1e3:.2f} ms" for name, p99 in found.items()))
    return 0


def prepare(folder: Path) -> dict[str, str]:
    """Make a database with all places and a user; return the variables that lead to it."""
    environ = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": f"sqlite:///{folder}/gazetteer.sqlite3",
        "LOG_FORMAT": "json",
        "LOGIN_RATE_LIMIT": "off",
    }
    command([sys.executable, "-m", "app", "db", "upgrade"], environ)
    command([sys.executable, "-m", "app", "db", "seed"], environ)
    create = [sys.executable, "-m", "app", "users", "create", EMAIL, "--name", "Bench", "--password-stdin"]
    command(create, environ, stdin=f"{PASSWORD}\n")
    return environ


def command(words: list[str], environ: Mapping[str, str], stdin: str = "") -> None:
    """Run a command of the application."""
    wanted = {"PATH": os.environ["PATH"], **environ}
    subprocess.run(words, cwd=ROOT, env=wanted, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)


def print_starts(environ: Mapping[str, str], rounds: int) -> None:
    """Print the processor time that a process needs until it could answer."""
    wanted = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ}
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, code in STARTS.items():
            process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=wanted)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            found[name].append(used.ru_utime + used.ru_stime)
    print("start, CPU s (goal: gazetteer below 1.0):", end=" ")
    print(", ".join(f"{name} {statistics.median(times[1:]):.2f}" for name, times in found.items()))


Found = dict[str, dict[str, list[Measured]]]


def ask_all(folder: Path, environ: dict[str, str], rounds: int, count: int) -> tuple[Found, list[tuple[float, float]]]:
    """Ask every server for everything, in each round; return what was measured, and the memory of our workers."""
    apps = {
        "bare Flask": ("bench.hello:flask_app", {}, BARE),
        "bare Falcon": ("bench.hello:falcon_app", {}, BARE),
        "app on Flask": ("app.wsgi:application", {**environ, "APP_FRAMEWORK": "flask"}, REQUESTS),
        "app on Falcon": ("app.wsgi:application", {**environ, "APP_FRAMEWORK": "falcon"}, REQUESTS),
    }
    found: Found = {name: defaultdict(list) for name in apps}
    memory: list[tuple[float, float]] = []
    for _ in range(rounds):
        for name, (app, variables, requests) in apps.items():
            with serving(app, variables, folder / "log") as server:
                for title, request in requests.items():
                    many = share(title, count)
                    server.ask(request, many // 10)  # every thread has a connection, every statement is compiled
                    found[name][title].append(server.ask(request, many))
                if name == "app on Flask":
                    memory = largest(memory, server)
    return found, memory


def share(title: str, count: int) -> int:
    """Return how many requests are enough: hashing a password takes as long as a hundred others."""
    return max(count // 100, 16) if title == "log in" else count


def largest(memory: list[tuple[float, float]], server: Server) -> list[tuple[float, float]]:
    """Return the memory of the round that needed most."""
    return max(memory, server.memory())


def print_requests(found: Found, memory: list[tuple[float, float]]) -> None:
    """Print a table; ratios are the median of each round's, to bare Flask."""
    bare = found["bare Flask"]["hello"]
    print(f"{'':38}{'req/s':>8}{'p99, ms':>9}{'CPU, us':>9}{'ratio by CPU':>14}{'by req/s':>10}")
    for name, runs in found.items():
        for title, measured in runs.items():
            pairs = list(zip(bare, measured, strict=True))
            by_cpu = statistics.median(one.cpu_each / own.cpu_each for one, own in pairs)
            by_rate = statistics.median(own.per_second / one.per_second for one, own in pairs)
            rate = statistics.median(own.per_second for own in measured)
            late = statistics.median(own.p99 for own in measured) * 1e3
            cost = statistics.median(own.cpu_each for own in measured) * 1e6
            goal = f"  goal {GOALS[title]}" if title in GOALS else ""
            print(f"{name + ': ' + title:38}{rate:8.0f}{late:9.1f}{cost:9.0f}{by_cpu:14.2f}{by_rate:10.2f}{goal}")
    print("memory of a worker, MB (goal: at most 90):", end=" ")
    print(", ".join(f"{rss:.0f}, {pss:.0f} of it its own or its share" for rss, pss in memory))


if __name__ == "__main__":
    sys.exit(main())
