"""The real application with a worker on a server of its own: Redis by Salt, Celery in the unit's sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.agent.kit import eventually
from tests.support import releases
from tests.support.open_ports import listening
from tests.support.servers import MIGRATED, REACHED, Servers, reference

pytestmark = pytest.mark.timeout(600)

NAME = "gazetteer"
DATABASE = NAME.replace("-", "_")
JOB = "auth.remove-expired-tokens"
HOSTS = ("lb1", "web1", "worker1", "db1")
PATIENCE = 90.0  # seconds; nothing here is about time
ENVIRONMENT = (
    """
transport = "ssh"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD", "REDIS_PASSWORD"]

"""
    + REACHED
    + """\
[variables]
ENVIRONMENT = "fleet"
DATABASE_URL = "postgresql+psycopg://gazetteer@{db1}/gazetteer"
BROKER_URL = "redis://{db1}:6379/0"
WORKER_PROCESSES = 1

"""
    + MIGRATED
    + """
[pillar.slipway.features]
redis = true
"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Set four servers up and deploy to them."""
    with reference(tmp_path_factory.mktemp("jobs"), ENVIRONMENT, HOSTS, db=("redis-server",)) as made:
        yield made


def done(site: Servers, generation: int) -> int:
    """Count the jobs that a generation's worker says it has done."""
    unit = f"_SYSTEMD_UNIT={NAME}-worker@{generation}.service"
    lines = site["worker1"].run(f"journalctl --no-pager --output=cat '{unit}'").stdout.splitlines()
    return sum("job done: 0 expired tokens removed" in line for line in lines)


def test_a_job_that_a_web_host_asks_for_is_done_by_the_worker(site: Servers) -> None:
    """Through the firewalls, with the password, to the database and back; confined as the web server is."""
    eventually(lambda: done(site, 1) == 1, PATIENCE)  # the periodic one, at its first turn
    said = site.fab("run:fleet", f"jobs run {JOB} --queue", "--host", "web1").out
    assert said == f"{JOB}: queued\n"
    eventually(lambda: done(site, 1) == 2, PATIENCE)
    table = site.fab("status:fleet").out
    assert [row.split()[0] for row in table.splitlines()[1:3]] == ["web1", "worker1"]
    assert "all in service" in table
    assert not [place for place in listening(site["worker1"]) if ":8000" in place]


def psql(site: Servers, sql: str) -> str:
    """Ask the database as its own superuser."""
    return site["db1"].run(["runuser", "-u", "postgres", "--", "psql", "-qtA", "-c", sql, DATABASE]).stdout.strip()


def test_the_database_is_backed_up_and_brought_back_on_its_own_server(site: Servers) -> None:
    """Nothing that states keep is another afterwards, and nobody but root reads a backup."""
    rows = psql(site, "SELECT count(*) FROM place_names")
    assert "restored to see" in site.fab("backup:fleet").out
    modes = site["db1"].run(f"stat --format '%a %U' /var/backups/{NAME} /var/backups/{NAME}/*").stdout.split("\n")
    assert modes[:3] == ["700 root", "600 root", "600 root"]
    psql(site, "DELETE FROM place_names")
    site.fab("restore:fleet", "--backup", "latest", "--yes")
    assert psql(site, "SELECT count(*) FROM place_names") == rows
    eventually(lambda: "all in service" in site.fab("status:fleet").out, PATIENCE)
    assert site.highstate("--limit", "db1")["db1"]["changed"] == []


def test_a_worker_is_deployed_to_without_losing_what_it_does(site: Servers) -> None:
    """New variables: the new worker takes the next job, and nothing of the old one is left."""
    version = releases.base().version
    text = site.file.read_text()
    site.file.write_text(text.replace("WORKER_PROCESSES = 1", "WORKER_PROCESSES = 2"))
    site.deploy(version)
    site.fab("run:fleet", f"jobs run {JOB} --queue", "--host", "web1")
    eventually(lambda: done(site, 2) == 1, PATIENCE)
    units = site["worker1"].run(f"systemctl list-units --no-legend --plain '{NAME}-worker@*'").stdout
    assert [line.split()[0] for line in units.splitlines()] == [f"{NAME}-worker@2.service"]
    assert site["worker1"].run("systemctl --failed --no-legend --plain").stdout == ""


def test_a_server_of_workers_comes_back_by_itself(site: Servers) -> None:
    site["worker1"].power_off()
    site["worker1"].boot()
    unit = f"{NAME}-worker@2.service"
    state = ["systemctl", "is-active", unit]
    eventually(lambda: site["worker1"].run(state, check=False).stdout == "active\n", PATIENCE)
    assert site.deploy(releases.base().version, expect=10).last["outcome"] == "nothing-to-do"
    changed = site.highstate("--limit", "worker1")["worker1"]["changed"]
    assert [state["name"] for state in changed] == [f"/etc/{NAME}/{NAME}.env"], "the variable that changed above"
