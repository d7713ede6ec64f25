"""Rollouts with workers: beside a web server, and on a host of their own."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from deploy.artifacts import ReleaseTree
from tests.deploy.agent.kit import eventually
from tests.local.conftest import Site, make_site
from tests.support import releases

JOBS1 = '[hosts.jobs1]\nroles = ["worker"]\n'
WORKERS = {"web2", "jobs1"}
PATIENCE = 120.0  # seconds; nothing here is about time


class Jobs:
    """The table that the kiosk's worker takes jobs from."""

    def __init__(self, site: Site) -> None:
        self._path = site.directory / "db/gazetteer.sqlite3"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            yield database

    def put(self, name: str, *, go: bool = True) -> None:
        """Add a job; without `go` it takes until it is let go."""
        with self._open() as database:
            database.execute("INSERT INTO jobs (name, go) VALUES (?, ?)", (name, int(go)))

    def let_go(self, name: str) -> None:
        """Let a job end."""
        with self._open() as database:
            database.execute("UPDATE jobs SET go = 1 WHERE name = ?", (name,))

    def look(self, name: str) -> tuple[int | None, int]:
        """Say which generation took a job, and how often it was done."""
        with self._open() as database:
            taken, done = database.execute("SELECT taken, done FROM jobs WHERE name = ?", (name,)).fetchone()
            return taken, done

    def done_by(self, name: str) -> int:
        """Have a job done, and say by which generation."""
        self.put(name)
        eventually(lambda: self.look(name)[1], PATIENCE)
        taken, done = self.look(name)
        assert taken is not None
        assert done == 1
        return taken


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, base: ReleaseTree) -> Iterator[Site]:
    """Give a site whose second web host is a worker as well, and a third host is only that."""
    site = make_site(tmp_path_factory.mktemp("site"))
    site.edit('[hosts.web2]\nroles = ["web"]', '[hosts.web2]\nroles = ["web", "worker"]')
    site.edit("[rollout]", f"{JOBS1}\n[rollout]")
    site.fab("bootstrap:local")
    site.deploy(base)
    yield site
    site.destroy()


@pytest.fixture
def jobs(site: Site) -> Jobs:
    return Jobs(site)


def ready(site: Site) -> dict[str, set[str]]:
    """Map each host to what of its current generation is ready; nothing else may run."""
    hosts = site.status().values()
    assert all(p.generation == h.current for h in hosts for p in h.processes), hosts
    return {h.name: {p.name for p in h.processes if p.ready} for h in hosts}


ALL_READY = {"web1": {"web"}, "web2": {"web", "worker"}, "jobs1": {"worker"}}


def test_a_worker_host_is_deployed_to_and_listens_nowhere(site: Site, base: ReleaseTree) -> None:
    assert ready(site) == ALL_READY
    assert site.status()["jobs1"].listening is None
    table = site.fab("status:local").out.splitlines()
    assert [(row.split()[0], row.split()[1]) for row in table[1:4]] == [("web1", "1"), ("web2", "1"), ("jobs1", "1")]
    assert table[-1] == f"all in service at {site.url}"
    assert site.deploy(base, expect=10).last["outcome"] == "nothing-to-do"


def test_a_job_in_hand_ends_where_it_began_while_new_workers_take_the_next(
    site: Site, jobs: Jobs, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.deploy(base, expect=None)
    before = site.status()["jobs1"].current
    jobs.put("long", go=False)
    eventually(lambda: jobs.look("long")[0], PATIENCE)
    deploy = site.start("deploy:local", "--version", newer.version, "--json")
    after = next(by for n in range(10_000) if (by := jobs.done_by(f"short {n}")) != before)
    assert (jobs.look("long"), deploy.poll()) == ((before, 0), None), (
        "it is still in hand, and the rollout waits for it"
    )
    jobs.let_go("long")
    out, err = deploy.communicate(timeout=PATIENCE)
    assert deploy.returncode == 0, (out, err)
    assert '"failed": 0' in out.splitlines()[-1]
    assert jobs.look("long") == (before, 1)
    assert {h.current for h in site.status().values()} == {after}
    assert ready(site) == ALL_READY


def test_a_release_whose_worker_does_not_start_is_taken_back_everywhere(
    site: Site, jobs: Jobs, newer: ReleaseTree
) -> None:
    site.deploy(newer, expect=None)
    running = site.status()["web1"].current
    bad = releases.kiosk("bad-worker", {"kiosk/worker.py": 'def main() -> int:\n    raise OSError("no queue")\n'})
    failed = site.deploy(bad, expect=21)
    assert "the worker of generation" in failed.last["message"]
    assert "no queue" in failed.out
    assert {h.current for h in site.status().values()} == {running}
    assert ready(site) == ALL_READY
    assert jobs.done_by("after all") == running


def test_a_worker_that_is_gone_is_seen_and_brought_back(site: Site, newer: ReleaseTree) -> None:
    site.deploy(newer, expect=None)
    before = site.pids()
    os.kill(before["jobs1"][0], signal.SIGKILL)
    eventually(lambda: not site.pids()["jobs1"], PATIENCE)
    assert site.fab("status:local").out.splitlines()[-1].startswith("not in service: jobs1 -> ")
    site.deploy(newer)
    assert ready(site) == ALL_READY
    assert {host: site.pids()[host] for host in ("web1", "web2")} == {host: before[host] for host in ("web1", "web2")}


def test_going_back_restarting_looking_and_running_reach_workers(
    site: Site, jobs: Jobs, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.deploy(base, expect=None)
    site.deploy(newer)
    site.fab("rollback:local")
    assert {g.version for h in site.status().values() if (g := h.generation(h.current))} == {base.version}
    assert ready(site) == ALL_READY
    before = site.pids()
    site.fab("restart:local", "--limit", "jobs1")
    assert site.pids()["jobs1"] != before["jobs1"]
    assert site.pids()["web2"] == before["web2"]
    jobs.done_by("logged")
    said = site.fab("logs:local", "--lines", "500").out.splitlines()
    assert any("takes logged" in line for line in said if line.split()[0] in WORKERS), said
    assert site.fab("run:local", "revision", "--host", "jobs1").out == "0001\n"
    assert "unknown host" in site.fab("drain:local", "--limit", "jobs1", expect=None).err


def test_a_restart_lets_no_request_wait_for_a_job(site: Site, jobs: Jobs, newer: ReleaseTree) -> None:
    """On a host that is both, the web server is back long before the worker's job is done."""
    site.deploy(newer, expect=None)
    for name in ("one", "other"):  # one for each worker
        jobs.put(name, go=False)
        eventually(lambda name=name: jobs.look(name)[0], PATIENCE)
    before = {p.name: p.pid for p in site.status()["web2"].processes}

    def now() -> dict[str, int]:
        return {p.name: p.pid for p in site.status()["web2"].processes if p.ready}

    restart = site.start("restart:local", "--limit", "web2")
    eventually(lambda: now().get("web", before["web"]) != before["web"], PATIENCE)
    assert [jobs.look(name)[1] for name in ("one", "other")] == [0, 0]
    assert restart.poll() is None, "it waits for the job"
    for name in ("one", "other"):
        jobs.let_go(name)
    out, err = restart.communicate(timeout=PATIENCE)
    assert restart.returncode == 0, (out, err)
    assert ready(site) == ALL_READY
    assert now()["worker"] != before["worker"]
    assert [jobs.look(name)[1] for name in ("one", "other")] == [1, 1]
