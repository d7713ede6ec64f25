"""Whose keys may log in to call the agent: those listed, or those that ssh would offer from here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.highstate.operators import OperatorsError, keys
from tests.support.environments import SERVERS, written


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """Make a key."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", str(path)], check=True)
    return path


def public(identity: Path) -> str:
    """Read the public half."""
    return identity.with_suffix(".pub").read_text().strip()


def test_the_environments_own_key(identity: Path, tmp_path: Path) -> None:
    environment = written(tmp_path, f'{SERVERS}[ssh]\nidentity = "{identity}"\n')
    expected = public(identity)
    assert keys(environment) == [expected]
    identity.with_suffix(".pub").unlink()
    assert keys(environment)[0].split()[:2] == expected.split()[:2], "made of the private half"


def test_a_list_in_the_file_counts_alone(identity: Path, tmp_path: Path) -> None:
    listed = '[pillar.slipway.agent]\nkeys = ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]\n'
    environment = written(tmp_path, f'{SERVERS}[ssh]\nidentity = "{identity}"\n{listed}')
    assert keys(environment) == ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]


def test_what_ssh_would_offer(identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config = tmp_path / "config"
    config.write_text(f"Host *\n  IdentityFile {identity}\n")
    assert keys(written(tmp_path, f'{SERVERS}[ssh]\nconfig = "{config}"\n')) == [public(identity)]
    config.write_text(f"Host *\n  IdentityFile {tmp_path}/none\n")
    with pytest.raises(OperatorsError) as raised:
        keys(written(tmp_path, f'{SERVERS}[ssh]\nconfig = "{config}"\n'))
    assert "ssh.identity in deploy/environments/prod.toml" in (raised.value.hint or "")
