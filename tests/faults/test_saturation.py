"""Twice as many users as the servers can answer, for as long as FAULTS_SECONDS says: who is let in waits little."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.agent import kit
from tests.faults.flood import Answer, flood
from tests.faults.users import percentile
from tests.local.conftest import HOSTS, Site, make_site
from tests.support import releases

SECONDS = float(os.environ.get("FAULTS_SECONDS", "20"))
TAKES, THREADS = 0.1, 4  # seconds of a request; at a time on each host
CAPACITY = len(HOSTS) * THREADS / TAKES  # requests a second
QUEUE = 64 * len(HOSTS)  # how many may wait; the eightfold of what is answered at a time is less
PAGE, ALIVE = "/page", "/livez"
WSGI = f'''

import time

_plain = respond


def respond(path, environ):
    """Take the same time for each page."""
    if path == "{PAGE}":
        time.sleep({TAKES})
        return "200 OK", {{}}
    return _plain(path, environ)
'''

pytestmark = pytest.mark.timeout(SECONDS + 600)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a site whose capacity is known."""
    pyproject = (releases.KIOSK / "pyproject.toml").read_text()
    pyproject = pyproject.replace("workers = 2\nthreads = 8", f"workers = 1\nthreads = {THREADS}")
    text = (releases.KIOSK / "kiosk/wsgi.py").read_text() + WSGI
    release = releases.kiosk("small", {"kiosk/wsgi.py": text, "pyproject.toml": pyproject})
    site = make_site(tmp_path_factory.mktemp("small"))
    (site.path / "pyproject.toml").write_text(pyproject)
    try:
        site.fab("bootstrap:local")
        site.deploy(release)
        yield site
    finally:
        site.destroy()


def of_backend(site: Site, name: str) -> int:
    """Read one of HAProxy's numbers about the servers together."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.directory / "lb/run/admin.sock"))
        connection.sendall(b"show stat\n")
        head, *rows = b"".join(iter(lambda: connection.recv(65536), b"")).decode().strip("# \n").splitlines()
    found = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    return max(int(row[name] or 0) for row in found if row["svname"] == "BACKEND")


def test_at_twice_the_capacity_who_is_let_in_is_answered_and_the_rest_hears_so_at_once(
    small: Site, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    with flood(small.ports[0], {PAGE: CAPACITY / 2, ALIVE: 5}) as steady:
        kit.eventually(lambda: len(steady.of(PAGE, 200)) > CAPACITY, SECONDS + 300)
    with flood(small.ports[0], {PAGE: CAPACITY * 2, ALIVE: 5}) as twice:
        time.sleep(SECONDS)
        kit.eventually(lambda: twice.of(PAGE, 503), 300)
    served, shed, alive = twice.of(PAGE, 200), twice.of(PAGE, 503), twice.of(ALIVE, 200)
    assert len(served) + len(shed) + len(alive) == len(twice.answers), "nobody else, and nothing lost"
    assert all(answer.retry_after for answer in shed)
    assert of_backend(small, "qmax") <= QUEUE + len(alive), "so nobody waits long"
    kit.eventually(lambda: all(host.in_service for host in small.status().values()), 60)
    record_property("cases", len(twice.answers))
    with capsys.disabled():
        bound = (QUEUE / CAPACITY + TAKES) * 1000
        sys.stdout.write(
            f"\nsaturation: {len(twice.answers):,} requests at twice the capacity in {SECONDS:g} s: {len(served):,} "
            f"served, {len(shed):,} told to come again, {len(alive)} of {len(alive)} of /livez; 99 % of who was served "
            f"within {p99(served):.0f} ms (a full queue takes {bound:.0f}; at half the capacity it is "
            f"{p99(steady.of(PAGE, 200)):.0f}), of who was told to come again within {p99(shed):.0f} ms\n"
        )


def p99(answers: list[Answer]) -> float:
    """Give the milliseconds within which nearly all came."""
    return percentile([answer.seconds for answer in answers], 0.99)
