"""Releases that pass their trial and are worse all the same: found out by their first users, and rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Inside, Result, Site
from tests.support import releases

WSGI = (releases.KIOSK / "kiosk/wsgi.py").read_text()
USERS_REQUEST = """

_inner = application


def application(environ, start_response):
    \"\"\"Do as before, but for what users ask.\"\"\"
    if environ["PATH_INFO"] not in ("/livez", "/readyz"):
        {}
    return _inner(environ, start_response)
"""
NOT_READY_AFTER_A_FEW = """

import os

_inner = application


def application(environ, start_response):
    \"\"\"Say no to health checks once users have come.\"\"\"
    if environ["PATH_INFO"] not in ("/livez", "/readyz"):
        open(f"{os.environ['HOME']}/users-{os.environ['RELEASE_GENERATION']}", "w").close()
    elif os.path.exists(f"{os.environ['HOME']}/users-{os.environ['RELEASE_GENERATION']}"):
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return []
    return _inner(environ, start_response)
"""
FAILS = """return start_response("500 Internal Server Error", [("Content-Length", "0")]) and []
    if False:
        pass"""
IS_SLOW = "__import__('time').sleep({})"
DIES = "__import__('threading').Timer(0.01, __import__('os')._exit, (1,)).start()"


@pytest.fixture
def baked(site: Site, base: ReleaseTree) -> Iterator[Site]:
    """Give the site, with servers compared for a while after each batch, and requests enough for a verdict."""
    site.ensure(base)
    with site.edited("seconds = 0 ", "seconds = 1.5 "), site.edited("rate = 20 ", "rate = 100 "):
        yield site


def deploy_worse(site: Site, base: ReleaseTree, name: str, does: str) -> Result:
    """Deploy a release that does something to users; expect it to be gone again."""
    worse = releases.kiosk(name, {"kiosk/wsgi.py": WSGI + USERS_REQUEST.format(does)})
    result = site.deploy(worse, expect=21)
    assert result.last["outcome"] == "failed-rolled-back"
    assert result.last["message"].startswith("failed at bake on web1: ")
    assert site.versions() == {base.version}
    assert all(h.in_service for h in site.status().values())
    switched = {e["step"]["host"] for e in result.events if e["event"] == "begin" and e["step"]["kind"] == "switch"}
    assert switched == {"web1"}, "the second server never had it"
    return result


def test_a_release_that_fails_users_is_rolled_back_after_the_canary(baked: Site, base: ReleaseTree) -> None:
    result = deploy_worse(baked, base, "fails-users", FAILS)
    assert "requests failed (100 %), of the others' 0 %: worse than the 0.5 % more" in result.last["message"]
    entries = Inside("web1", baked.root("web1")).call("ledger", tail=50)["entries"]
    assert [e["phase"] for e in entries if e["kind"] == "bake"] == ["begin", "failed"]


@pytest.mark.parametrize("seconds", [0.2, 3])
def test_a_slow_release_is_rolled_back_even_if_it_answers_nobody_in_time(
    baked: Site, base: ReleaseTree, seconds: float
) -> None:
    with baked.edited("seconds = 1.5 ", "seconds = 4 "):  # a slow server answers few, and few say little
        result = deploy_worse(baked, base, f"slow-{seconds}", IS_SLOW.format(seconds))
    assert "slower than the 2 times that is allowed" in result.last["message"]


def test_a_release_whose_workers_die_is_rolled_back(baked: Site, base: ReleaseTree) -> None:
    with baked.edited('errors = "0.5%"', 'errors = "100%"'):
        result = deploy_worse(baked, base, "dies", DIES)
    assert "started anew, at the others none" in result.last["message"]


def test_a_release_that_stops_being_ready_is_rolled_back_though_no_request_fails(
    baked: Site, base: ReleaseTree
) -> None:
    """The load balancer finds it down and asks the other server: users see nothing, and capacity is gone."""
    wsgi = WSGI + NOT_READY_AFTER_A_FEW
    worse = releases.kiosk("stops-being-ready", {"kiosk/wsgi.py": wsgi})
    result = baked.deploy(worse, expect=21)
    assert "the load balancer's check finds it down (L7STS)" in result.last["message"]
    assert baked.versions() == {base.version}


def test_a_release_as_good_as_before_passes_after_each_batch(
    baked: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    with baked.edited('errors = "0.5%"', 'errors = "0.5%"\nslack = 10000 #'):  # a busy computer is slow at times
        done = baked.deploy(newer)
    bakes = [e for e in done.events if e["event"] == "end" and e["step"]["kind"] == "bake"]
    assert [(e["step"]["host"], e["step"]["against"]) for e in bakes] == [("web1", ["web2"]), ("web2", [])]
    for bake in bakes:
        assert "requests failed" in bake["detail"]
        assert "the others: 0 of" in bake["detail"]
        entries = Inside(bake["step"]["host"], baked.root(bake["step"]["host"])).call("ledger", tail=50)["entries"]
        assert [e["detail"] for e in entries if e["kind"] == "bake" and e["phase"] == "end"][-1] == bake["detail"]
    assert done.last["prober"]["failed"] == 0
    back = baked.fab("rollback:local", "--json")
    assert "bake" not in {e["step"]["kind"] for e in back.events if e["event"] == "begin"}, "a way back is in a hurry"
