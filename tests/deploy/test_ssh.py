"""The words that run a command over there: as data; tests/fleet/ shows them at work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy import ssh, ssh_sockets
from deploy.environment import ROOT, read
from tests.support.environments import SERVERS, written


@pytest.fixture(autouse=True)
def sockets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the sockets' directory out of everybody's way."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(ssh_sockets, "LONGEST", 200)
    return folder


def options(words: list[str]) -> dict[str, str]:
    """Read what is given with -o."""
    return dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-o")


def test_the_agent_is_called_by_the_one_line_that_sudo_allows(tmp_path: Path) -> None:
    words = ssh.agent(written(tmp_path), "web1", "shop")
    assert words[-5:] == [
        "-l", "deploy", "--", "10.0.0.21", "sudo -n /usr/lib/shop/releasectl --name shop session",
    ]  # fmt: skip


def test_nothing_asks_and_nothing_waits_for_ever(tmp_path: Path) -> None:
    given = options(ssh.agent(written(tmp_path), "web1", "shop"))
    assert (given["BatchMode"], given["StrictHostKeyChecking"]) == ("yes", "yes")
    assert (given["ConnectTimeout"], given["ServerAliveInterval"], given["ServerAliveCountMax"]) == ("10", "5", "3")
    assert "IdentityFile" not in given, "what is not said is up to ssh"


def test_what_the_environment_says_is_passed_on(tmp_path: Path) -> None:
    more = '[ssh]\nport = 2222\nidentity = "var/key"\nknown_hosts = "/etc/known"\nconfig = "var/config"\nsilence = 9\n'
    words = ssh.command(written(tmp_path, SERVERS + more), "web1", ["id"])
    given = options(words)
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("-F") + 1] == str(ROOT / "var/config")
    assert (given["IdentityFile"], given["IdentitiesOnly"]) == (str(ROOT / "var/key"), "yes")
    assert (given["UserKnownHostsFile"], given["ServerAliveInterval"]) == ("/etc/known", "3")


@pytest.mark.parametrize(
    ("admin", "expected"), [("root", "install -d '/a b'"), ("debian", "sudo -n install -d '/a b'")]
)
def test_who_sets_servers_up_needs_sudo_unless_it_is_root(tmp_path: Path, admin: str, expected: str) -> None:
    environment = written(tmp_path, f'{SERVERS}[ssh]\nadmin = "{admin}"\n')
    words = ssh.command(environment, "web1", ["install", "-d", "/a b"], admin=True)
    assert words[-4:] == [admin, "--", "10.0.0.21", expected]


def test_openssh_takes_these_words(tmp_path: Path) -> None:
    """`ssh -G` reads everything and connects to nobody."""
    words = ssh.agent(written(tmp_path), "web1", "shop")
    done = subprocess.run([words[0], "-G", *words[1:-1]], capture_output=True, text=True, check=True)
    assert "\nstricthostkeychecking true\n" in done.stdout
    assert "\nuser deploy\n" in f"\n{done.stdout}"


def test_files_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    more = f'[ssh]\nidentity = "var/no-key"\nknown_hosts = "{tmp_path}"\nconfig = "var/no-config"\n'
    with pytest.raises(ssh_sockets.SshError) as raised:
        ssh.require_files(written(tmp_path, SERVERS + more))
    assert raised.value.problems == (
        "ssh.config: there is no var/no-config",
        "ssh.identity: there is no var/no-key",
    )
    ssh.require_files(written(tmp_path))


def test_files_of_a_fleet_that_is_not_up_are_made_by_make_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "ROOT", tmp_path)
    with pytest.raises(ssh_sockets.SshError) as raised:
        ssh.require_files(read("fleet"))
    assert raised.value.hint == "make fleet"


def test_sockets_lie_where_nobody_else_comes_and_are_refused_elsewhere(tmp_path: Path, sockets: Path) -> None:
    path = Path(options(ssh.agent(written(tmp_path), "web1", "shop"))["ControlPath"]).parent
    assert path.parent == sockets
    assert path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o755)
    with pytest.raises(ssh_sockets.SshError, match="only you can enter"):
        ssh.agent(written(tmp_path), "web1", "shop")
