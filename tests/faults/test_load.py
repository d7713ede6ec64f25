"""Rollouts back to back while users of every kind are at work; FAULTS_MINUTES says for how long."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from tests.deploy.agent import kit
from tests.faults.users import Answer, Users, percentile, users
from tests.local.conftest import HOSTS, Site, own_site, processes_in
from tests.support import releases

MINUTES = float(os.environ.get("FAULTS_MINUTES", "2"))
pytestmark = pytest.mark.timeout(MINUTES * 60 + 900)

WSGI = '''

import time

_plain = respond


def respond(path, environ):
    """Be long, big, slow to feed, and write down what must be done once."""
    if path == "/long":
        time.sleep(float(environ["QUERY_STRING"]))
        return "200 OK", {}
    if path == "/much":
        return "200 OK", "x" * 3_000_000
    if path == "/page":
        time.sleep(0.01)
        return "200 OK", {}
    if path == "/upload":
        size = 0
        while part := environ["wsgi.input"].read(16384):
            size += len(part)
        return ("200 OK", size) if size == int(environ["CONTENT_LENGTH"]) else ("400 Bad Request", size)
    if path == "/once":
        name = environ["wsgi.input"].read().decode()
        with open(f"{os.environ['HOME']}/once", "a") as file:
            file.write(f"{name}\\n")
        return "200 OK", name
    return _plain(path, environ)
'''


@pytest.fixture(scope="module")
def pair() -> tuple[ReleaseTree, ReleaseTree]:
    """Build two releases of an application that has requests of every kind."""
    text = (releases.KIOSK / "kiosk/wsgi.py").read_text() + WSGI
    return (
        releases.kiosk("busy-1", {"kiosk/wsgi.py": text}),
        releases.kiosk("busy-2", {"kiosk/wsgi.py": f"{text}\n# another one\n"}),
    )


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, pair: tuple[ReleaseTree, ReleaseTree]) -> Iterator[Site]:
    """Give a site of that application."""
    with own_site(tmp_path_factory.mktemp("busy"), pair[0]) as site:
        yield site


def open_files(site: Site) -> Counter[str]:
    """Count the open descriptors of all that stays: HAProxy and the keepers of sockets, by what they are."""
    found: Counter[str] = Counter()
    for pid in processes_in(site.directory):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "gunicorn" not in str(command):
            found[Path(command[0]).name + " " + " ".join(command[1:4])] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return found


def lying_about(site: Site) -> list[str]:
    """List what is in the directories of what is temporary or runs."""
    found = (path for host in HOSTS for part in ("tmp", "run") for path in (site.root(host) / part).rglob("*"))
    # A generation's number is in names, and each rollout has another.
    return sorted(re.sub(r"\d+", "N", str(path.relative_to(site.directory))) for path in found)


@dataclass(frozen=True)
class Left:
    """What stays when nobody asks anything."""

    files: Counter[str]
    processes: int
    names: list[str]

    def more_than(self, before: Left) -> bool:
        """Tell whether anything is left behind; of connections to servers, HAProxy may keep fewer."""
        return bool(self.files - before.files) or (self.processes, self.names) != (before.processes, before.names)


def left(site: Site) -> Left:
    """Look at all that could be left behind."""
    return Left(open_files(site), len(processes_in(site.directory)), lying_about(site))


def settled(site: Site) -> Left:
    """Wait until the old generations are gone, and whatever goes with them."""
    kit.eventually(lambda: all(len(host.processes) == 1 for host in site.status().values()), 300)
    seen = [left(site)]

    def same_twice() -> bool:
        time.sleep(0.5)
        seen.append(left(site))
        return seen[-1] == seen[-2]

    kit.eventually(same_twice, 300)
    return seen[-1]


def test_rollouts_back_to_back_lose_nothing_and_leave_nothing_behind(
    busy: Site,
    pair: tuple[ReleaseTree, ReleaseTree],
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    for release in (*pair, *pair, *pair):  # until as many generations are kept as are kept
        busy.deploy(release, expect=None)
    before = settled(busy)
    rolls: list[tuple[float, float]] = []
    began = time.monotonic()
    with users(busy.ports[0]) as clients:
        clients.everybody()
        time.sleep(MINUTES * 60 / 10)  # what is usual
        while not rolls or time.monotonic() - began < MINUTES * 60:
            since = time.monotonic()
            busy.deploy(pair[len(rolls) % 2])
            rolls.append((since, time.monotonic()))
    assert clients.failed == []
    done = Counter(line for host in HOSTS for line in (busy.root(host) / "state/once").read_text().splitlines())
    assert done == Counter(clients.posted), "each answered POST was done once, and no other"
    settled(busy)
    # HAProxy closes connections to servers when they have been idle for pool-purge-delay.
    kit.eventually(lambda: not left(busy).more_than(before), 300)

    record_property("cases", len(clients.answers))
    with capsys.disabled():
        sys.stdout.write(f"\n{told(clients, rolls)}\n")


def told(clients: Users, rolls: list[tuple[float, float]]) -> str:
    """Say in words what was measured."""

    def rolling(answer: Answer) -> bool:
        return any(begin <= answer.at + answer.seconds and answer.at <= end for begin, end in rolls)

    kinds = Counter(answer.what for answer in clients.answers)
    pages = [a for a in clients.answers if a.what in ("page", "post")]
    steady = percentile([a.seconds for a in pages if not rolling(a)], 0.99)
    meanwhile = percentile([a.seconds for a in pages if rolling(a)], 0.99)
    return (
        f"load: {len(rolls)} rollouts in {MINUTES:g} minutes, {len(clients.answers):,} requests, "
        f"{len(clients.failed)} failed ({', '.join(f'{n} {what}' for what, n in kinds.items())}); "
        f"p99 of pages and POSTs {steady:.0f} ms steady, {meanwhile:.0f} ms during rollouts "
        f"(goal: {2 * steady + 20:.0f} ms)"
    )
