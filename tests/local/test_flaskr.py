"""Flask's own tutorial application, as published, adopted by the very commands of docs/adopting.md.

It is a folder of Flask's source distribution, keeps its data in SQLite inside its own environment, reads its secret
from a configuration file there, and its only command for the database begins by deleting everything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy import contract
from deploy.agent import once
from deploy.agent.layout import Layout
from tests.deploy.agent import kit
from tests.local.adopting import Adopted, empty
from tests.support import sdists
from tests.support.browser import Browser
from tests.support.repository import ROOT

PAGE = (ROOT / "docs/adopting.md").read_text()
HEADINGS = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)


def follow(site: Adopted, heading: str) -> str:
    """Type all that a section of the page says; give what was answered."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)[HEADINGS.index(heading) + 1]
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    assert commands, f"{heading}: nothing to type"
    commands = commands.replace(":8100/", f":{site.ports[0]}/")
    environ = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=site.path, env=environ, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def flaskr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    """Put it beside a checkout of Slipway, as the page does; both are as published."""
    folder = tmp_path_factory.mktemp("flaskr")
    app = sdists.checkout(sdists.FLASKR, folder / "flaskr")
    plain = empty(folder / "slipway")
    (plain.path / ".venv").symlink_to(sys.prefix)
    site = Adopted(plain.path, plain.ports, plain.settings, app)
    try:
        yield site
    finally:
        site.destroy()


def test_it_is_adopted_by_looking_at_it(flaskr: Adopted) -> None:
    said = follow(flaskr, "Look at it")
    assert 'found    secrets = ["SECRET_KEY"]   (SECRET_KEY has a value in the source' in said
    assert "changed  deploy/environments/local.toml: no variables of another application any more" in said
    lines = [line for line in (flaskr.path / "slipway.toml").read_text().splitlines() if line[:1] not in ("", "#")]
    assert len(lines) <= 20
    assert contract.read(flaskr.path).slipway.links == {"var/flaskr-instance": "instance"}
    assert flaskr.unchanged


def test_it_serves_from_nothing_and_is_used_through_the_balancer(flaskr: Adopted) -> None:
    follow(flaskr, "Build it")
    steps = [line.split()[0] for line in follow(flaskr, "Serve it").splitlines() if line.startswith("  ")]
    assert steps.count("init") == 1
    assert steps.index("init") < steps.index("trial"), "its pages need the tables"
    visitor = Browser(flaskr.url)
    visitor.post("/auth/register", username="ada", password="secret")
    visitor.post("/auth/login", username="ada", password="secret")
    assert "Log Out" in visitor.post("/create", title="Hello", body="from the balancer")
    assert all("from the balancer" in visitor.get("/") for _ in range(4)), "each server shows it"


def test_its_secret_is_its_own_and_in_no_artifact(flaskr: Adopted) -> None:
    secret = (flaskr.directory / "secrets/SECRET_KEY").read_text().strip()
    config = flaskr.directory / "web1/state/instance/config.py"
    assert config.read_text() == f'SECRET_KEY = "{secret}"\n'
    assert config.stat().st_mode & 0o777 == 0o600
    release = (flaskr.directory / "web1/current/release").resolve()
    assert not any(secret.encode() in path.read_bytes() for path in release.rglob("*.*") if path.is_file())


def test_a_second_version_and_back_lose_no_request_and_no_data(flaskr: Adopted) -> None:
    with flaskr.traffic() as during:
        said = follow(flaskr, "The second version, and back")
    assert not re.search(r"^  init ", said, re.MULTILINE)
    assert (during[0].failed, during[0].requests > 20) == (0, True), during[0]
    page = Browser(flaskr.url).get("/")
    assert "second edition" not in page
    assert "from the balancer" in page
    assert len(list((flaskr.directory / "web1/releases").iterdir())) == 2


def test_init_never_runs_where_data_is(flaskr: Adopted) -> None:
    """Whoever asks for it, and also on a server that was made anew and got its data back."""
    layout = Layout.under(flaskr.root("web1"), "flaskr")
    request = {"generation": 1, "command": "init", "to": None, "timeout": 60.0}
    assert kit.call(layout, "migrate", **request)["output"].startswith("not run: it ran on 2")
    (layout.var / once.MARK).unlink()
    assert kit.call(layout, "migrate", **request)["output"] == (
        "not run: there is data already (instance/flaskr.sqlite)"
    )
    assert "from the balancer" in Browser(flaskr.url).get("/")
