"""What an operator does besides rolling out: drain, restore, restart, lock, look back, clear up."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from deploy.artifacts import ReleaseTree
from tests.deploy.agent.kit import eventually
from tests.local.conftest import FAB, Site
from tests.support.terminal import terminal


def test_a_drained_host_gets_nobody_until_it_is_restored(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    site.fab("drain:local", "--limit", "web2", "--json")
    assert "already" not in site.fab("drain:local", "--limit", "web2", expect=10).err
    host = site.status()["web2"]
    assert host.server
    assert (host.server.admin, host.serving, host.in_service) == ("maint", True, False)
    assert "taken out of service: web2" in site.fab("status:local").out
    refused = site.fab("drain:local", "--limit", "web1", expect=2)
    assert "0 would be left in service" in refused.err
    assert site.fab("restore:local", "--json").last["exit"] == 0
    assert site.status()["web2"].in_service
    site.fab("restore:local", expect=10)


def test_a_restart_makes_new_processes_and_loses_no_request(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    before = site.pids()
    with site.traffic(clients=8, rate=80.0) as probed:
        done = json.loads(site.fab("restart:local", "--json").out.splitlines()[-1])
    assert done["exit"] == 0
    after = site.pids()
    assert all(not set(before[name]) & set(after[name]) for name in before)
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {base.version}


def test_a_database_that_was_made_anew_is_migrated(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    (database,) = (site.directory / "db").glob("*.sqlite3")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TABLE revision")
    done = json.loads(site.fab("migrate:local", "--json").out.splitlines()[-1])
    assert done["exit"] == 0
    assert [event.get("exit", event.get("text")) for event in site.fab("run:local", "revision", "--json").events][
        -1
    ] == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM revision").fetchone()[0] > 0


def test_a_locked_environment_is_nobodys_until_it_is_unlocked(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    site.fab("lock:local", "--why", "an audit", "--hours", "0.5", "--json")
    refused = site.fab("restart:local", expect=3)
    assert "has locked it: an audit" in refused.err
    assert "who locked it: an audit" in site.fab("status:local").out
    examined = site.fab("doctor:local", expect=20)
    assert re.search(r"lease +PROBLEM  held by .* an audit -> wait, or .*fab unlock:local", examined.out)
    site.fab("unlock:local", "--json")
    site.fab("unlock:local", expect=10)
    examined = site.fab("doctor:local")
    assert "local is ready for a rollout" in examined.out
    assert re.search(r"database +reached by web1, web2; at revision 0001", examined.out)


def test_a_closed_site_shows_a_page_is_still_deployed_to_and_stays_closed_when_its_balancer_dies(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    site.fab("maintenance:local", "on", "--json")
    site.fab("maintenance:local", "on", expect=10)
    assert "users get the maintenance page" in site.fab("status:local").out
    told = site.deploy(newer)
    assert "no prober watched: users get the maintenance page" in told.last["problems"]
    os.kill(int((site.directory / "lb" / "run" / "haproxy.pid").read_text()), signal.SIGKILL)
    site.fab("bootstrap:local", "--json")
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        urllib.request.urlopen(site.url, timeout=5)
    assert "Closed for maintenance" in caught.value.read().decode()
    caught.value.close()
    site.fab("maintenance:local", "off", "--json")
    with site.traffic(clients=2) as probed:
        eventually(lambda: all(h.in_service for h in site.status().values()))
    assert probed[0].failed == 0, probed[0]
    listed = json.loads(site.fab("history:local", "--lines", "3", "--json").out)["rollouts"]
    assert [e["task"] for e in listed] == ["maintenance off", "deploy", "maintenance on"]
    assert "expected on or off" in site.fab("maintenance:local", "of", expect=2).err


def test_a_shell_is_a_prompt_of_the_current_generation(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    with terminal([FAB, "shell:local", "--host", "web2"], site.path) as shell:
        assert "web2 of local" in shell.until(">>> ")
        shell.type("import os; print('runs', os.environ['RELEASE_VERSION'], os.getcwd())\n")
        assert f"runs {base.version} {site.root('web2') / 'state'}" in shell.until("\n>>> ")
        # At an empty prompt a signal may come before readline waits, and is then heard with the next key only.
        shell.type("import itertools; print('bu' + 'sy'); any(False for _ in itertools.count())\n")
        shell.until("busy")
        shell.type("\x03")
        shell.until("KeyboardInterrupt")
        shell.type("raise SystemExit(7)\n")
        assert shell.end() == 7
    assert "a shell needs a terminal" in site.fab("shell:local", expect=2).err


def test_what_was_done_is_in_the_history(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    site.deploy(newer)
    site.fab("rollback:local")
    listed = json.loads(site.fab("history:local", "--lines", "2", "--json").out)["rollouts"]
    assert [(e["task"], e["version"], e["outcome"]) for e in listed] == [
        ("rollback", base.version, "ok"),
        ("deploy", newer.version, "ok"),
    ]
    assert all(e["seconds"] > 0 and e["hosts"] == ["web1", "web2"] and "@" in e["by"] for e in listed)
    rows = site.fab("history:local", "--lines", "1").out.splitlines()
    assert rows[0].split() == ["when", "who", "what", "version", "generation", "took", "outcome"]
    assert len(rows) == 2


def test_old_releases_are_removed_when_asked(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    site.ensure(newer)
    site.fab("prune:local", "--keep", "1", "--json")
    site.fab("prune:local", "--keep", "1", "--json", expect=10)
    assert len(site.status()["web1"].generations) == 1
    site.fab("rollback:local", expect=2)
    assert site.versions() == {newer.version}


@pytest.mark.parametrize("task", ["rollback", "drain"])
def test_where_the_file_says_so_nothing_is_done_without_a_yes(site: Site, base: ReleaseTree, task: str) -> None:
    site.ensure(base)
    options = ["--limit", "web2"] if task == "drain" else []
    with site.edited('transport = "local"', 'transport = "local"\nconfirm = true'):
        refused = site.fab(f"{task}:local", *options, expect=2)
    assert "There is no terminal to ask on; nothing was touched" in refused.err
    assert "--yes" in refused.err
    assert site.status()["web2"].in_service


def test_hosts_that_are_none_are_named(site: Site) -> None:
    assert "unknown host \"wep2\"; did you mean 'web2'?" in site.fab("drain:local", "--limit", "wep2", expect=2).err
    assert "expected --limit" in site.fab("drain:local", expect=2).err
    assert "--hours: expected" in site.fab("lock:local", "--hours", "25", expect=2).err
