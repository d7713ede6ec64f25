"""Between batches somebody looks, and says whether to go on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import FAB, Inside, Result, Site


@pytest.fixture
def asking(site: Site, base: ReleaseTree) -> Iterator[Site]:
    """Give the site, with a question between its two batches."""
    site.ensure(base)
    with site.edited("[rollout]", '[rollout]\npause = "confirm"'):
        yield site


def deploy_at_a_terminal(
    site: Site, release: ReleaseTree, typed: str = "", signals: int = 0, meanwhile: Callable[[], None] | None = None
) -> Result:
    """Deploy with a person at the terminal, who does something when asked."""
    person, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [FAB, "deploy:local", "--version", release.version, "--json"],
            cwd=site.path,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr
        asked = b""
        while not asked.endswith(b"[y/N] ") and (more := process.stderr.read1(4096)):  # type: ignore[attr-defined]
            asked += more
        if meanwhile:
            meanwhile()
        os.write(person, typed.encode())
        if signals:
            process.send_signal(signals)
        out, err = process.communicate(timeout=150)
    finally:
        os.close(person)
        os.close(terminal)
    return Result(process.returncode, out.decode(), (asked + err).decode())


def test_a_yes_goes_on_and_nobody_takes_over_meanwhile(asking: Site, newer: ReleaseTree) -> None:
    def lease_is_renewed() -> None:
        def ends() -> float:
            return float(json.loads((asking.root("web1") / "lease.json").read_text())["expires"])

        first, deadline = ends(), time.monotonic() + 60
        while ends() == first:
            assert time.monotonic() < deadline, "the lease was not renewed while somebody looked"
            time.sleep(0.1)

    with asking.edited("[rollout]", "[rollout]\nlease = 5"):
        done = deploy_at_a_terminal(asking, newer, "y\n", meanwhile=lease_is_renewed)
    assert done.code == 0, done.err
    assert f"web1 serves {newer.version}:\n  {asking.url}\n" in done.err
    assert "go on? [y/N]" in done.err
    assert asking.versions() == {newer.version}
    entries = Inside("web1", asking.root("web1")).call("ledger", tail=50)["entries"]
    assert [e["phase"] for e in entries if e["kind"] == "pause"][-2:] == ["begin", "end"]


@pytest.mark.parametrize(("typed", "signals"), [("n\n", 0), ("", signal.SIGINT)], ids=["no", "ctrl-c"])
def test_a_no_goes_back_and_so_does_who_stops_it(
    asking: Site, base: ReleaseTree, newer: ReleaseTree, typed: str, signals: int
) -> None:
    with asking.traffic() as probed:
        done = deploy_at_a_terminal(asking, newer, typed, signals)
    assert done.code == 21, done.err
    said = "stopped at your request" if signals else "failed at pause on web1: nobody said yes to going on"
    assert done.last["message"].startswith(said)
    assert asking.versions() == {base.version}
    assert probed[0].failed == 0, probed[0]


def test_without_a_terminal_it_refuses_beforehand_unless_yes_was_said(
    asking: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    pids = asking.pids()
    refused = asking.fab("deploy:local", "--version", newer.version, expect=2)
    assert "there is no terminal to ask on; nothing was touched" in refused.err
    assert "--yes" in refused.err
    assert asking.pids() == pids
    asking.fab("deploy:local", "--version", base.version, expect=10)  # nothing to do, so nothing to ask
    asking.fab("deploy:local", "--version", newer.version, "--yes")
    assert asking.versions() == {newer.version}


def test_it_may_be_asked_for_and_it_may_be_a_matter_of_time(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    assert "no terminal" in site.fab("deploy:local", "--version", newer.version, "--pause", expect=2).err
    with site.edited("[rollout]", "[rollout]\npause = 0.2"):
        plan = json.loads(site.fab("plan:local", "--version", newer.version, "--json").out)
        assert [g["title"] for g in plan["groups"] if "pause" in g["title"]] == ["pause after canary"]
        done = site.deploy(newer)
    assert done.last["phases"]["pause"] >= 0.2
