"""How gunicorn is called and asked, and how it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from deploy.agent import health, manifest
from deploy.agent.supervisors.serving import gunicorn, pages
from tests.deploy.agent.kit import CONTRACT, HERE, AgentFailure, Caller, Release, get, manifest_of, text_of

COMMANDS = [
    ("27.0.1", None, ["--workers 2", "--no-control-socket", "--preload", "--graceful-timeout 5", "--keep-alive 75"]),
    ("25.0", 1, ["--workers 1", "--no-control-socket"]),
    ("23.0.0", None, ["--workers 2"]),
    (None, None, ["--workers 2"]),
]


@pytest.mark.parametrize(("version", "workers", "words"), COMMANDS)
def test_the_command_line(version: str | None, workers: int | None, words: list[str]) -> None:
    """Only options that the release's own gunicorn knows."""
    described = manifest_of({}, distributions={"gunicorn": version} if version else {})
    found = manifest.read(text_of(described).encode())
    line = " ".join(gunicorn(found, "/r/bin/python", "tiny@1", workers=workers))
    assert line.startswith("/r/bin/python -c ")
    assert line.endswith(" tiny:application")
    assert all(word in line for word in words)
    assert ("--no-control-socket" in line) == ("--no-control-socket" in words)


def test_a_page_can_be_asked_for_the_version_that_it_should_say() -> None:
    smoke = [{"path": "/about", "status": 200, "text": "v{version}!"}, {"path": "/", "status": 200, "text": None}]
    described = manifest_of({}, version="1.4", contract={**CONTRACT, "smoke": smoke})
    assert [page["text"] for page in pages(manifest.read(text_of(described).encode()))] == ["v1.4!", None]


def test_an_application_is_heard_out_that_looks_for_its_database() -> None:
    assert Settings.model_fields["database_connect_timeout"].default < health.ANSWER


def test_who_leaves_runs_its_exit_handlers_and_says_its_last_words(
    agent: Caller, real_release: Release, port: int
) -> None:
    """Master and both workers: they leave without taking the interpreter apart, and lose nothing by it."""
    agent.prepare(1, real_release, BEHAVIOUR="tidy")
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    agent("stop", timeout=10)
    said = (agent.root / "log/1.log").read_text()
    assert said.count("tidied up") == 3
    assert "Shutting down: Master" in said


@pytest.mark.parametrize("behaviour", ["raise", "leave"])
def test_who_cannot_start_leaves_with_the_status_that_gunicorn_gives(tmp_path: Path, behaviour: str) -> None:
    """systemd starts again what failed, and tells it from what was asked to leave."""
    shutil.copyfile(HERE / "tiny_app.py", tmp_path / "tiny.py")
    ours = gunicorn(manifest.read(text_of(manifest_of({})).encode()), sys.executable, "tiny@1")
    plain = [sys.executable, "-m", "gunicorn", *ours[3:]]
    statuses, said = [], []
    for command in (ours, plain):
        done = subprocess.run(
            [*command, "--bind", "unix:here"], cwd=tmp_path, env={"BEHAVIOUR": behaviour, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
        statuses.append(done.returncode)
        said.append("this release can't be imported" in done.stderr)
    assert statuses[0] == statuses[1] == {"raise": 1, "leave": 4}[behaviour]
    assert said[0] == said[1] == (behaviour == "raise")


def test_workers_that_die_at_every_start_are_not_taken_for_a_service(
    agent: Caller, real_release: Release, port: int
) -> None:
    """Without preload gunicorn is up, the port is open, and workers are forked for ever: the answer decides."""
    listen, contract = f"127.0.0.1:{port}", {**CONTRACT, "no_preload": True}
    agent.prepare(1, real_release)
    agent("activate", generation=1, deadline=30, listen=listen)
    agent.prepare(2, real_release.variant("2.0", contract=contract), BEHAVIOUR="dies")
    with pytest.raises(AgentFailure) as caught:
        agent("activate", generation=2, deadline=3, listen=listen)
    assert caught.value.code == "timeout"
    assert "Booting worker" in json.dumps(caught.value.error)
    assert get(port)[1]["generation"] == "1"
    assert [process["generation"] for process in agent("status")["processes"]] == [1]


def test_a_page_that_is_not_as_the_contract_wants_it_is_never_switched_to(
    agent: Caller, real_release: Release, port: int
) -> None:
    """The health check is green all the while."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent("activate", generation=1, deadline=30, listen=listen)
    smoke = [{"path": "/", "status": 200, "text": "generation"}]
    agent.prepare(2, real_release.variant("2.0", contract={**CONTRACT, "smoke": smoke}), BEHAVIOUR="failing")
    agent.prepare(3, real_release.variant("3.0", contract={**CONTRACT, "smoke": [{**smoke[0], "text": "absent"}]}))
    for number, expected, got in ((2, "200", "500"), (3, "'absent'", "a page without it")):
        with pytest.raises(AgentFailure) as caught:
            agent("trial", generation=number, check="ready", deadline=10)
        assert (caught.value.code, caught.value.error["expected"], caught.value.error["got"]) == (
            "not-ready", expected, got
        )  # fmt: skip
    agent("trial", generation=2, check="live", deadline=10)
    assert get(port)[1]["generation"] == "1"
