"""Servers with a database: their links are cut, and secrets are looked for on every disk and in each log."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.agent import kit
from tests.faults.watch import Watch
from tests.support.parting import parted
from tests.support.servers import HURRIED, MIGRATED, REACHED, Servers, reference

pytestmark = pytest.mark.timeout(900)

NAME = "gazetteer"
HOSTS = ("lb1", "web1", "web2", "db1")
WEB = ("web1", "web2")
PATIENCE = 240.0  # seconds; nothing here is about time
ENVIRONMENT = (
    """
transport = "ssh"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]

"""
    + REACHED
    + HURRIED
    + """
[variables]
ENVIRONMENT = "fleet"
LOG_LEVEL = "INFO"
DATABASE_URL = "postgresql+psycopg://gazetteer@{db1}/gazetteer"
TRUSTED_PROXIES = 1

"""
    + MIGRATED
)
DAY = """
fab secrets:fleet
fab highstate:fleet --json
fab plan:fleet --version {version} --json
fab deploy:fleet --version {version} --json
fab status:fleet --json
fab run:fleet 'config check'
fab logs:fleet --json
fab rollback:fleet
fab history:fleet --json
fab doctor:fleet
"""
# Where secrets belong, and nobody but root, or who has to read them, may look.
BELONG = (
    f"/etc/{NAME}/credentials/*",
    f"/opt/{NAME}/generations/*/credentials/*",
    "/run/credentials/*",
    f"/etc/{NAME}/salt/*",
    "/etc/haproxy/*",
    f"/var/cache/{NAME}-salt/*",  # the states that Salt ran last
)
SEARCH = """
cat >/dev/shm/canaries
grep -rlaF -f /dev/shm/canaries --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev /
journalctl --no-pager --output=export | grep -aF -f /dev/shm/canaries | head -c 2000 | sed 's/^/JOURNAL /'
rm /dev/shm/canaries
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Set four servers up and deploy to them."""
    with reference(tmp_path_factory.mktemp("servers"), ENVIRONMENT, HOSTS) as made:
        yield made


def in_service(site: Servers, *names: str) -> bool:
    """Tell whether exactly these servers get users' requests."""
    return {name for name, host in site.status().items() if host.in_service} == {*names}


def asked(site: Servers, url: str) -> str:
    """Ask from the load balancer's machine, for which the web hosts' firewalls are open; end with the status."""
    words = ["curl", "--silent", "--insecure", "--include", "--write-out", " %{http_code}", url]
    return site["lb1"].run(words, check=False).stdout


def test_a_web_host_without_its_database_is_taken_out_and_comes_back(
    site: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    (version,) = site.versions()
    with parted(site["web1"], site["db1"].address):
        with site.traffic(clients=4, rate=40) as first:
            kit.eventually(lambda: in_service(site, "web2"), PATIENCE)
        ready = f"http://{site['web1'].address}:8000/readyz"
        kit.eventually(lambda: asked(site, ready).endswith(" 503"), PATIENCE)
        assert "the database can't be reached: " in asked(site, ready)
        with site.traffic(clients=4, rate=40) as second, site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "WARNING"'):
            result = site.deploy(version, expect=20)
        assert second[0].failed == 0, second[0]
        assert result.last["message"].startswith("failed at trial on web1: ")
        assert "the database can't be reached: " in result.out, result.out
    with capsys.disabled():
        sys.stdout.write(f"\nusers while web1 loses the database: {first[0]}\n")
    kit.eventually(lambda: in_service(site, *WEB), PATIENCE)


def test_when_all_have_lost_the_database_users_hear_so_and_nothing_is_touched(site: Servers) -> None:
    (version,) = site.versions()
    with ExitStack() as stack:
        for name in WEB:
            stack.enter_context(parted(site[name], site["db1"].address))
        kit.eventually(lambda: in_service(site), PATIENCE)
        said = asked(site, f"https://{site['lb1'].address}/api/v1/places?q=lisb")
        assert said.endswith(" 503"), said
        assert "retry-after: " in said.lower()
        with site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "WARNING"'):
            result = site.deploy(version, expect=20)
        assert re.search("failed at (migrate|trial) on web[12]: ", result.last["message"])
        assert site["db1"].address in result.out, result.out
    kit.eventually(lambda: in_service(site, *WEB), PATIENCE)


def marks(site: Servers) -> list[str]:
    """List the secrets, as they are and in base64; of several lines the last but one, which of a key is its own."""
    lines = [value.strip().splitlines()[-2 if "\n" in value else 0] for value in site.secrets.values()]
    return [*lines, *(base64.b64encode(line.encode()).decode().rstrip("=") for line in lines)]


def test_secrets_are_nowhere_but_where_they_belong(
    site: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a day's work, typed into a shell that keeps a history: on all servers, and at the operator's."""
    site.fab("secrets:fleet", "--rotate", "SECRET_KEY,STATS_PASSWORD")
    (version,) = site.versions()
    tree = site.path / f"dist/{NAME}-{version}"
    canaries = marks(site)
    assert len(canaries) == 2 * len(site.secrets) >= 12
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = {Path(f"/proc/{site[name].pid}/ns/pid").readlink() for name in HOSTS}

    def of_another_than_root(process: Path) -> bool:
        return (process / "ns/pid").readlink() in inside and process.stat().st_uid != 0

    watch = Watch([mark.encode() for mark in canaries], of_another_than_root)
    with site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "DEBUG"'), watch:
        typed = DAY.format(version=version).replace("fab ", f"{Path(sys.prefix)}/bin/fab ")
        done = subprocess.run(
            ["bash", "--norc", "--noprofile", "-e", "-o", "history"], cwd=site.path, text=True, check=False,
            input=f"{typed}\nhistory -w {tmp_path}/.bash_history\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    history = (tmp_path / ".bash_history").read_text()
    assert [line for line in typed.splitlines() if line not in history] == []
    assert watch.looks > 5
    assert watch.seen == set()
    assert not [mark for mark in canaries if mark in done.stdout]
    for name in HOSTS:
        found = site[name].run(SEARCH, data="\n".join(canaries), check=False).stdout.splitlines()
        assert [each for each in found if not any(fnmatch(each, place) for place in BELONG)] == [], name
        said = site[name].run(["stat", "--format=%A %G %n", *found]).stdout.splitlines()
        assert [each for each in said if each[7:10] != "---" or (each[4] != "-" and " haproxy " not in each)] == [], (
            name
        )
        assert found or name == "db1"
    search = ["grep", "-rlaF", "-f", "-", str(site.path), str(tmp_path), str(tree.resolve())]
    here = subprocess.run(search, input="\n".join(canaries), capture_output=True, text=True, check=False).stdout
    assert here.splitlines() == [str(site.path / ".env.fleet")]
    assert (site.path / ".env.fleet").stat().st_mode & 0o077 == 0
