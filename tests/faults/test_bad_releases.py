"""Releases that are bad: found out before users see them or by the bake, rolled back, and it is said how fast."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Result, Site, own_site
from tests.local.test_bad_releases import FAILS_AT_IMPORT, HANGS_AT_START
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

SAYS_ITS_VERSION = WSGI.replace(
    '    return "404', '    if path == "/version":\n        return "200 OK", {}\n    return "404', 1
)
PYPROJECT = (releases.KIOSK / "pyproject.toml").read_text()
IMPATIENT = PYPROJECT.replace("deadline = 30 ", "deadline = 3 ")
KNOWS_ITS_VERSION = f"""{PYPROJECT}
[[tool.slipway.smoke]]
path = "/version"
text = "{{version}}"
"""
MIGRATION = '''"""Goods have prices."""

revision = "0002"
down_revision = "0001"
kind = "expand"


def upgrade(database):
    """Make a table, and stop half-way."""
    database.execute("CREATE TABLE IF NOT EXISTS prices (goods TEXT PRIMARY KEY)")
    {}
'''
FAILS = 'raise RuntimeError("the other half is missing")'
FAILS_ON_ROWS = "for _ in database.execute('SELECT name FROM goods'):\n        " + FAILS  # noqa: S608
SOME_WAY = "requests failed|started anew|finds it down"  # which of these is seen first is up to chance


def says_its_version(what: str) -> str:
    """Write an application that answers with its version."""
    return SAYS_ITS_VERSION.replace('{}\n    return "404', f'{what}\n    return "404', 1)


def migrating(what: str) -> dict[str, str | None]:
    """Add a migration."""
    return {"kiosk/migrations/m0002_prices.py": MIGRATION.format(what)}


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
        (
            "runs-out-of-files",
            text(also="_kept.append(open('/dev/null'))", more=FEW_FILES),
            SOME_WAY,
        ),
        ("crashes-after-5-s", text(more=CRASHES_LATER), SOME_WAY),
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
    assert re.search(says, "\n".join([result.last["message"], *result.last["problems"]]))
    assert site.versions() == {release.version}
    assert all(h.in_service for h in site.status().values())
    switched = {e["step"]["host"] for e in result.events if e["event"] == "begin" and e["step"]["kind"] == "switch"}
    assert switched == {"web1"}, "the second server never had it"
    say_when(name, result, capsys)


@pytest.mark.parametrize(
    ("name", "changes", "step", "says"),
    [
        ("import-error", {"kiosk/wsgi.py": FAILS_AT_IMPORT}, "trial", "the moon is in the wrong house"),
        ("hang-at-start", {"kiosk/wsgi.py": HANGS_AT_START, "pyproject.toml": IMPATIENT}, "trial", "within 3 s"),
        (
            "wrong-version",
            {"kiosk/wsgi.py": says_its_version('"1.0"'), "pyproject.toml": KNOWS_ITS_VERSION},
            "trial",
            "/version is not as",
        ),
        ("migration-fails", migrating(FAILS), "rehearse", "the other half is missing"),
        ("migration-fails-on-rows", migrating(FAILS_ON_ROWS), "migrate", "the other half is missing"),
    ],
)
def test_it_is_found_out_before_a_user_sees_it(
    good: tuple[Site, ReleaseTree],
    capsys: pytest.CaptureFixture[str],
    name: str,
    changes: dict[str, str | None],
    step: str,
    says: str,
) -> None:
    site, release = good
    site.ensure(release)
    pids = site.pids()
    with site.traffic() as probed:
        result = site.deploy(releases.kiosk(name, changes), expect=20)
    assert probed[0].failed == 0, probed[0]
    assert result.last["message"].startswith(f"failed at {step} on web")
    assert says in result.out
    assert site.pids() == pids, "nothing was switched"
    say_when(name, result, capsys)


def test_what_is_mended_is_deployed(good: tuple[Site, ReleaseTree]) -> None:
    """A page that says its version, and a migration that failed half-way, now to its end."""
    site, release = good
    site.ensure(release)
    knows = says_its_version('__import__("importlib.metadata").metadata.version("kiosk")')
    changes = {**migrating("pass"), "kiosk/wsgi.py": knows, "pyproject.toml": KNOWS_ITS_VERSION}
    with site.edited("seconds = 30 ", "seconds = 0 "), site.traffic() as probed:
        mended = releases.kiosk("mended", changes)
        site.deploy(mended)
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {mended.version}


def say_when(name: str, result: Result, capsys: pytest.CaptureFixture[str]) -> None:
    """Say how long it took, as the report does."""
    found = result.last["found_after"]
    assert found > 0
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: found out {found:.1f} s after its first start\n")
