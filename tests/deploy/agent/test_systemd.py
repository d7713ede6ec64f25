"""What the systemd supervisor decides, without a systemd: tests/fleet/ shows it on machines."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from deploy.agent import generations, overlay
from deploy.agent.cli import main
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.supervisors import become, supervisor_of, systemctl, transient
from deploy.agent.supervisors.process import ProcessSupervisor
from deploy.agent.supervisors.systemd import SystemdSupervisor, normal

UNIT = """\
# /usr/lib/systemd/system/sample@.service
[Unit]
Description=generation %i
[Service]
Type=notify
ExecStart=/usr/lib/sample/releasectl --name sample exec %i
Restart=always
TimeoutStopSec=45
Environment=A=1
User=sample
LoadCredential=sample:/opt/sample/generations/%i/credentials
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged \\
# why
  @resources
# /etc/systemd/system/sample@.service.d/more.conf
[Service]
IPAddressAllow=10.0.0.7
LogExtraFields=RATE=5%%
[Install]
WantedBy=nothing
"""


def test_a_trial_has_the_units_sandbox_and_not_its_life() -> None:
    """Drop-ins count, empty values stay (they clear a list), the instance is filled in."""
    assert transient.settings(UNIT, "7") == [
        ("User", "sample"),
        ("LoadCredential", "sample:/opt/sample/generations/7/credentials"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallFilter", "~@privileged    @resources"),
        ("IPAddressAllow", "10.0.0.7"),
        ("LogExtraFields", "RATE=5%"),
    ]


STATES = {
    "serves": ("active", "running", True, False),
    "comes up": ("activating", "start", True, False),
    "waits to be started again": ("activating", "auto-restart", True, False),
    "finishes its requests": ("deactivating", "stop-sigterm", True, True),
    "never started": ("inactive", "dead", False, False),
    "failed": ("failed", "failed", False, False),
}


@pytest.mark.parametrize(("active", "sub", "living", "leaving"), STATES.values(), ids=STATES)
def test_what_a_state_means(active: str, sub: str, living: bool, leaving: bool) -> None:
    text = f"Id=sample@1.service\nActiveState={active}\nSubState={sub}\nJob=0\nMainPID=12\nNRestarts=3"
    unit = systemctl.Unit(systemctl.parse(text))
    assert (unit.living, unit.leaving, unit.restarting) == (living, leaving, sub == "auto-restart")
    assert (unit.pid, unit.restarts, unit.queued) == (12, 3, False)


def test_a_socket_tells_its_first_address() -> None:
    unit = systemctl.Unit(systemctl.parse("Listen=127.0.0.1:8000 (Stream)\nListen=[::1]:8000 (Stream)"))
    assert unit.address == "127.0.0.1:8000"


@pytest.mark.parametrize(("given", "shown"), [(":80", "0.0.0.0:80"), ("10.0.0.1:80", "10.0.0.1:80"), ("[::1]:80",) * 2])
def test_addresses_are_written_as_systemd_shows_them(given: str, shown: str) -> None:
    assert normal(given) == shown


def test_the_layout_chooses_the_supervisor(tmp_path: Path) -> None:
    assert isinstance(supervisor_of(Layout.under(tmp_path, "sample")), ProcessSupervisor)
    assert isinstance(supervisor_of(Layout.system("sample")), SystemdSupervisor)


def credentials(folder: Path, secrets: dict[str, str]) -> dict[str, str]:
    """Hand over a generation as systemd does."""
    folder.mkdir()
    meta = {
        "version": "1.0", "digest": "0" * 64, "env_digest": "0" * 64, "created": 0.0, "variables": {"COLOUR": "blue"},
        "secrets": sorted(secrets),
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))
    for name, value in secrets.items():
        (folder / f"sample_{name}").write_text(value)
    return {"CREDENTIALS_DIRECTORY": str(folder), "INVOCATION_ID": "1", "LEAKED": "from systemd"}


def test_a_process_gets_what_is_documented_and_nothing_else(tmp_path: Path) -> None:
    given = credentials(tmp_path / "c", {"SECRET_KEY": "hunter2"})
    generation, variables = become.understand(Layout.system("sample"), 3, given)
    assert variables == {
        "COLOUR": "blue", "SECRET_KEY_FILE": f"{tmp_path}/c/sample_SECRET_KEY", "RELEASE_VERSION": "1.0",
        "RELEASE_GENERATION": "3", "HOME": "/var/lib/sample/state", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "PATH": f"/opt/sample/releases/1.0/bin:{generations.PATH}",
    }  # fmt: skip
    assert generation.number == 3


def test_what_replaces_variables_comes_as_credentials_too(tmp_path: Path) -> None:
    """Under names that the unit's own can't have."""
    given = credentials(tmp_path / "c", {"SECRET_KEY": "hunter2"})
    (tmp_path / "c/overlay.json").write_text('{"variables": {"COLOUR": "red"}, "secrets": ["SECRET_KEY", "PASSWORD"]}')
    _, variables = become.understand(Layout.system("sample"), 3, given)
    assert variables["COLOUR"] == "red"
    assert variables["SECRET_KEY_FILE"] == f"{tmp_path}/c/sample-once_SECRET_KEY"
    assert variables["PASSWORD_FILE"] == f"{tmp_path}/c/sample-once_PASSWORD"
    with overlay.written(Layout.under(tmp_path), overlay.Overlay({"COLOUR": "red"}, {"PASSWORD": "x"})) as folder:
        assert folder is not None
        own, secrets = become.overlay_credentials("sample", folder)
    assert own == f"overlay.json:{folder}/overlay.json"
    assert secrets == f"sample-once:{folder}/secrets"


def test_a_unit_that_hands_over_too_little_is_named(tmp_path: Path) -> None:
    """What lacks, and the line that the unit needs."""
    layout = Layout.system("sample")
    with pytest.raises(AgentError, match=r"no credential meta\.json"):
        become.understand(layout, 3, {})
    given = credentials(tmp_path / "c", {"SECRET_KEY": "hunter2"})
    (tmp_path / "c/sample_SECRET_KEY").unlink()
    with pytest.raises(AgentError, match="no secret SECRET_KEY") as caught:
        become.understand(layout, 3, given)
    assert "LoadCredential=sample:" in caught.value.fields["hint"]


def test_the_private_socket_is_bound_where_it_was_promised(tmp_path: Path) -> None:
    """One that a killed process left is replaced, and the new one is inherited under the very number."""
    layout = Layout.under(tmp_path, "sample")
    layout.make()
    layout.run_file("3", "sock").touch()
    descriptor = 90
    become.bind(layout, "3", descriptor)
    try:
        assert stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        assert os.get_inheritable(descriptor)
        assert layout.run_file("3", "sock").is_socket()
    finally:
        os.close(descriptor)


WRONG = (["exec"], ["exec", "x"], ["exec", "1", "serve"], ["exec", "1", "run"], ["exec", "1", "trial", "x"])


@pytest.mark.parametrize("words", [*WRONG, ["start-current", "1"]], ids=" ".join)
def test_what_units_call_is_checked(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--name", "sample", *words]) == 2
    assert "releasectl:" in capsys.readouterr().err


def test_units_are_for_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "exec", "1"]) == 2
    assert "--name" in capsys.readouterr().err
