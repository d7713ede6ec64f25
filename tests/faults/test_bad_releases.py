"""Releases that are bad in ways that take their time: found out by the bake, rolled back, and it is said how fast."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, own_site
from tests.support import releases

WSGI = (releases.KIOSK / "kiosk/wsgi.py").read_text()
# Each request takes a while, so that a tenfold is more than what a busy computer does by chance.
TAKES = """

import itertools
import os
import threading
import time

_inner = application
_count = itertools.count(1)
_kept = []


def application(environ, start_response):
    \"\"\"Take a while for users.\"\"\"
    if environ["PATH_INFO"] not in ("/livez", "/readyz"):
        time.sleep({seconds})
        {also}
    return _inner(environ, start_response)
"""
FAILS_AT_TIMES = """if next(_count) % 100 == 0:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []"""
LEAKS = "_kept.append(os.urandom(2_000_000))"
FEW_FILES = """

import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
"""
CRASHES_LATER = """

def _crash():
    time.sleep(5)
    os._exit(1)


# In each worker: threads don't come along when the master forks.
os.register_at_fork(after_in_child=lambda: threading.Thread(target=_crash, daemon=True).start())
"""


def text(seconds: float = 0.02, also: str = "pass", more: str = "") -> str:
    """Write the application's code."""
    return WSGI + TAKES.format(seconds=seconds, also=also) + more


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, ReleaseTree]]:
    """Give a site whose application takes a while, and servers that are compared for longer than a bad one needs."""
    release = releases.kiosk("takes-a-while", {"kiosk/wsgi.py": text()})
    with own_site(tmp_path_factory.mktemp("bad"), release) as site:
        site.edit("seconds = 0 ", "seconds = 30 ")
        site.edit("rate = 20 ", "rate = 200 ")
        site.edit("clients = 2 ", "clients = 16 ")
        yield site, release


@pytest.mark.parametrize(
    ("name", "bad", "says"),
    [
        ("fails-1-of-100", text(also=FAILS_AT_TIMES), "requests failed"),
        ("leaks", text(also=LEAKS), "a worker has "),
        ("ten-times-slower", text(seconds=0.2), "slower than the 2 times that is allowed"),
        ("runs-out-of-files", text(also="_kept.append(open('/dev/null'))", more=FEW_FILES), "requests failed"),
        ("crashes-after-5-s", text(more=CRASHES_LATER), "started anew"),
    ],
)
def test_it_is_found_out_and_rolled_back(
    good: tuple[Site, ReleaseTree],
    capsys: pytest.CaptureFixture[str],
    name: str,
    bad: str,
    says: str,
) -> None:
    site, release = good
    site.ensure(release)
    result = site.deploy(releases.kiosk(name, {"kiosk/wsgi.py": bad}), expect=21)
    assert result.last["message"].startswith("failed at bake on web1: ")
    assert says in "\n".join([result.last["message"], *result.last["problems"]])
    assert site.versions() == {release.version}
    assert all(h.in_service for h in site.status().values())
    switched = {e["step"]["host"] for e in result.events if e["event"] == "begin" and e["step"]["kind"] == "switch"}
    assert switched == {"web1"}, "the second server never had it"
    assert result.last["found_after"] > 0
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: found out {result.last['found_after']:.1f} s after its first start\n")
