"""Whoever has the files gets in, by name and by address; a stranger, and a machine that is not what it says, do not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.fleet import access
from deploy.fleet.machines import Fleet, MachineError


def ssh(config: Path, host: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", *options, host, "hostname"]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_ssh_gets_into_each_machine_also_into_one_added_later_and_after_a_reset(fleet: Fleet, tmp_path: Path) -> None:
    one = fleet.add("f")
    given = access.write(fleet, tmp_path / "access")
    assert given.identity.stat().st_mode & 0o777 == 0o600
    two = fleet.add("g", address=77)
    assert two.address == fleet.network.address(77)
    for host, name in ((one.name, "f"), (two.name, "g"), (two.address, "g")):
        done = ssh(given.config, host)
        assert (done.stdout, done.stderr) == (f"{name}\n", "")
    one.reset()
    assert ssh(given.config, "f").stdout == "f\n"
    assert access.write(fleet, tmp_path / "access") == given, "a second time changes nothing"
    assert ssh(given.config, "f").stdout == "f\n"

    known = given.known_hosts.read_text()
    given.known_hosts.write_text(known.replace(one.host_key, two.host_key))
    refused = ssh(given.config, "f")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr

    given.known_hosts.write_text(known)
    stranger = access.write(Fleet(fleet.folder, fleet.network, fleet.lower), tmp_path / "stranger")
    stranger.identity.rename(given.identity)
    assert "Permission denied" in ssh(given.config, "f").stderr


def test_two_machines_can_t_have_one_address(fleet: Fleet) -> None:
    first = fleet.add("h")
    with pytest.raises(MachineError, match=r"is h's"):
        fleet.add("i", address=int(first.address.rpartition(".")[2]))
