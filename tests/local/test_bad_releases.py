"""Releases that must never see a user: exit 20, everything as before, not one failed request."""

from __future__ import annotations

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site
from tests.support import releases

WSGI = (releases.KIOSK / "kiosk/wsgi.py").read_text()
FAILS_AT_IMPORT = WSGI + '\nraise RuntimeError("the moon is in the wrong house")\n'
HANGS_AT_START = WSGI + "\nimport time\n\ntime.sleep(600)\n"
SAYS_503 = (
    WSGI
    + '''

_inner = application


def application(environ, start_response):
    """Answer everything but the readiness check."""
    if environ["PATH_INFO"] == "/readyz":
        start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", "12")])
        return [b"not feeling\\n"]
    return _inner(environ, start_response)
'''
)


@pytest.mark.parametrize(
    ("name", "wsgi", "says"),
    [
        ("fails-at-import", FAILS_AT_IMPORT, "the moon is in the wrong house"),
        ("says-503", SAYS_503, "503"),
        ("hangs-at-start", HANGS_AT_START, "within 3 s"),
    ],
)
def test_it_never_sees_traffic(site: Site, base: ReleaseTree, name: str, wsgi: str, says: str) -> None:
    pyproject = (releases.KIOSK / "pyproject.toml").read_text()
    # A short deadline, so that a release that hangs or waits is found out before the test's reader is bored.
    impatient = pyproject.replace("deadline = 30 ", "deadline = 3 ")
    assert impatient != pyproject
    bad = releases.kiosk(name, {"kiosk/wsgi.py": wsgi, "pyproject.toml": impatient})
    site.ensure(base)
    before, pids = site.status(), site.pids()
    with site.traffic() as probed:
        result = site.deploy(bad, expect=20)
    assert probed[0].failed == 0
    assert result.last["outcome"] == "failed-unchanged"
    assert "trial" in result.last["message"]
    assert "nothing changed: web1 serves" in result.last["message"]
    assert says in result.out, "the operator sees why"
    assert site.pids() == pids
    after = site.status()
    for host in before:
        assert after[host].current == before[host].current
        assert after[host].in_service
    assert site.versions() == {base.version}


def test_a_release_that_stops_being_ready_when_it_is_switched_to_is_rolled_back(site: Site, base: ReleaseTree) -> None:
    """It passes its trial on every host and the switch of the first; the second finds it out."""
    marker = site.directory / "db" / "switched"
    wsgi = (
        WSGI
        + f"""
import os
import sys

# Ready on a trial and on the first host that is switched to; broken ever after.
if "trial" not in " ".join(sys.argv):
    if os.path.exists({str(marker)!r}):
        raise RuntimeError("the second host is one too many")
    open({str(marker)!r}, "w").close()
"""
    )
    bad = releases.kiosk(f"second-host-{site.ports[0]}", {"kiosk/wsgi.py": wsgi})
    site.ensure(base)
    with site.traffic() as probed:
        result = site.deploy(bad, expect=21)
    assert probed[0].failed == 0, probed[0]
    assert result.last["outcome"] == "failed-rolled-back"
    assert "rolled back: web1 serves" in result.last["message"]
    assert site.versions() == {base.version}
    assert all(h.in_service for h in site.status().values())
