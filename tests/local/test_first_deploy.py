"""From nothing: an empty environment, its first release, killed on the way, and done again."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import HOSTS, Site, make_site
from tests.local.test_kill import kill_at


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Set a site up and deploy nothing to it."""
    made = make_site(tmp_path_factory.mktemp("empty"))
    try:
        made.fab("bootstrap:local")
        yield made
    finally:
        made.destroy()


def test_the_first_deploy_is_finished_by_the_same_command_wherever_it_was_killed(
    empty: Site, base: ReleaseTree
) -> None:
    planned = json.loads(empty.fab("plan:local", "--version", base.version, "--json").out)
    steps = [s for g in planned["groups"] for lane in g["lanes"] for s in lane]
    (sent,) = {(s["files"], s["bytes"]) for s in steps if s["kind"] == "stage"}
    files = {f["sha256"]: f["size"] for f in base.manifest.data["files"] if "sha256" in f}
    assert sent == (len(files), sum(files.values()))
    for kind in ("stage", "trial", "migrate", "seed", "switch"):
        assert kill_at(empty.start("deploy:local", "--version", base.version, "--json"), kind, "web1")
    done = empty.deploy(base, expect=None)
    assert done.code in (0, 10), "the agents may have finished the switch on their own"
    assert [e["step"]["kind"] for e in done.events if e["event"] == "end"].count("stage") == 0, "it goes on, not anew"
    assert {h.current for h in empty.status().values()} == {1}
    with urllib.request.urlopen(f"{empty.url}/goods?q=banana", timeout=10) as answer:
        assert json.load(answer) == {"items": ["banana"]}
    empty.deploy(base, expect=10)


def test_a_host_taken_out_of_the_file_is_stopped(empty: Site) -> None:
    text = empty.environment.read_text()
    start = text.index("[hosts.web2]")
    end = text.index("[rollout]")
    with empty.edited(text[start:end], ""):
        result = empty.fab("bootstrap:local")
        assert "web2" in result.out
        assert "no longer in" in result.out
        assert list(empty.status()) == [HOSTS[0]]
        assert "nothing to do" in empty.fab("bootstrap:local").out
