"""What people get wrong: each a clear message and an exit code, and nothing is touched."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, make_site


@pytest.fixture
def untouched(site: Site) -> Iterator[None]:
    """Insist that whatever the test does changes nothing."""
    before, pids = site.status(), site.pids()
    yield
    assert site.pids() == pids
    assert {n: (h.current, h.generations) for n, h in site.status().items()} == {
        n: (h.current, h.generations) for n, h in before.items()
    }


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("deploy:locl", ['unknown environment "locl"', "did you mean deploy:local?"]),
        ("deplyo:local", ['unknown task "deplyo"', "did you mean deploy:local?"]),
        ("status:mars", ['unknown environment "mars"']),
    ],
)
def test_an_unknown_word_suggests_the_nearest(site: Site, typed: str, says: list[str]) -> None:
    result = site.fab(typed, expect=2)
    for text in says:
        assert text in result.err
    assert "Traceback" not in result.err


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[rollout]", "[rollout", ["expected"]),
        ("canary = 1 ", "canery = 1 ", ["canery", "did you mean 'canary'"]),
        ("canary = 1 ", 'canary = "one" ', ["rollout.canary", "expected a whole number", '"one"']),
        ("batch = 1 ", 'batch = "150%" ', ["rollout.batch", "such as"]),
        ('roles = ["web"]', 'roles = ["wep"]', ["hosts.web1.roles", "'web'"]),
        ('transport = "local"', 'transport = "pigeon"', ["transport", "'local'", "pigeon"]),
        ("{directory}", "{directry}", ["unknown placeholder {directry}", "did you mean 'directory'"]),
    ],
)
def test_a_malformed_environment_file_names_file_line_and_what_was_expected(
    site: Site, base: ReleaseTree, old: str, new: str, says: list[str]
) -> None:
    with site.edited(old, new):
        line = site.environment.read_text().partition(new)[0].count("\n") + 1
        result = site.fab("deploy:local", "--version", base.version, expect=2)
    where = "DATABASE_URL" if "directry" in new else f"deploy/environments/local.toml:{line}:"
    for text in (where, *says):
        assert text in result.err, result.err
    assert "Traceback" not in result.err


@pytest.mark.usefixtures("untouched")
def test_several_mistakes_are_all_reported_at_once(site: Site, base: ReleaseTree) -> None:
    with site.edited("canary = 1 ", "canery = 1 "), site.edited("keep = 5", "keep = 0"):
        result = site.fab("plan:local", "--version", base.version, expect=2)
    assert "2 mistakes" in result.err
    assert "canery" in result.err
    assert "rollout.keep" in result.err


@pytest.mark.usefixtures("untouched")
def test_a_secret_that_does_not_exist_yet_names_the_command_that_makes_it(site: Site, base: ReleaseTree) -> None:
    with site.edited('secrets = ["SECRET_KEY"]', 'secrets = ["SECRET_KEY", "MAIL_PASSWORD"]'):
        result = site.fab("deploy:local", "--version", base.version, expect=2)
    assert "MAIL_PASSWORD: this secret does not exist yet" in result.err
    assert "bootstrap:local" in result.err


@pytest.mark.usefixtures("untouched")
def test_a_release_that_was_not_built_names_the_command_that_builds_it(site: Site) -> None:
    result = site.fab("deploy:local", "--version", "9.9.9", expect=2)
    assert "no release tree for 9.9.9" in result.err
    assert "make release" in result.err


@pytest.mark.usefixtures("untouched")
def test_a_release_that_was_altered_in_dist_is_refused(site: Site, base: ReleaseTree, tmp_path: Path) -> None:
    dist = site.path / "dist"
    shared = dist.readlink()
    dist.unlink()
    try:
        copy = dist / base.path.name
        shutil.copytree(base.path, copy, symlinks=True)
        (copy / "manifest.json").chmod(0o644)
        text = (copy / "manifest.json").read_text().replace('"deadline": 30', '"deadline": 31')
        (copy / "manifest.json").write_text(text)
        result = site.fab("deploy:local", "--version", base.version, expect=2)
    finally:
        shutil.rmtree(dist, ignore_errors=True)
        dist.symlink_to(shared)
    assert "other bytes" in result.err or "not as it was built" in result.err


@pytest.mark.usefixtures("untouched")
def test_a_generation_that_is_not_there_lists_those_that_are(site: Site) -> None:
    result = site.fab("rollback:local", "--to", "77", expect=2)
    assert "no generation 77 to go back to" in result.err
    assert "can go back to:" in result.err


@pytest.mark.usefixtures("untouched")
def test_bootstrap_again_is_nothing_to_do(site: Site) -> None:
    assert "nothing to do" in site.fab("bootstrap:local").out


def test_an_environment_that_is_not_set_up_names_the_command_that_does(tmp_path: Path, base: ReleaseTree) -> None:
    fresh = make_site(tmp_path)
    for task in ("status:local", "plan:local", "deploy:local", "rollback:local"):
        version = ["--version", base.version] if task.startswith(("plan", "deploy")) else []
        result = fresh.fab(task, *version, expect=2)
        assert "is not set up" in result.err
        assert "bootstrap:local" in result.err
    assert "nothing to do" in fresh.fab("destroy:local").out


def test_an_address_in_use_is_named_before_anything_is_made(tmp_path: Path) -> None:
    fresh = make_site(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", fresh.ports[1]))
        other.listen()
        result = fresh.fab("bootstrap:local", expect=2)
    assert f"web1: 127.0.0.1:{fresh.ports[1]}: address already in use" in result.err
    assert "ss -ltnp" in result.err
    assert not (fresh.directory / "web1").exists()


def test_a_directory_with_other_things_in_it_is_neither_used_nor_removed(tmp_path: Path) -> None:
    fresh = make_site(tmp_path)
    precious = fresh.directory / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("chapter 1")
    for task in ("bootstrap:local", "destroy:local"):
        assert "has other things in it" in fresh.fab(task, expect=2).err
    assert precious.read_text() == "chapter 1"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["logs:local", "--lines", "x"], "expected a number, got 'x'"),
        (["migrate:local", "--josn"], "unknown option --josn; did you mean --json?"),
        (["maintenance:local"], "maintenance:local: expected its state"),
        (["prune:local,keep=x"], "expected a number, got 'x'"),
    ],
)
def test_a_wrong_option_is_usage_and_no_traceback(site: Site, typed: list[str], says: str) -> None:
    done = site.fab(*typed, expect=2)
    assert says in done.err
    assert "Traceback" not in done.err
    assert f"fab --help {typed[0].partition(',')[0]}" in done.err
