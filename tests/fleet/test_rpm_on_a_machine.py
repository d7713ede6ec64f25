"""`dnf install` and an environment file are enough: on a booted machine, with its own dnf and systemd."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from deploy.artifacts.rpm import build_rpms
from deploy.artifacts.rpm.repo import build_repo
from deploy.fleet.machines import Fleet, Machine
from tests.support import rpms
from tests.support.repository import ROOT

NAME = "gazetteer"
DNF = "dnf --assumeyes --repofrompath s,file:///srv/repo --releasever 1 --setopt=reposdir=/no --nogpgcheck"
INSTALL = (
    "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends dnf rpm"
)
ASK = "curl -s -o /dev/null -w '%{http_code}' -H 'Host: localhost' http://127.0.0.1:8000/readyz"


@pytest.fixture
def server(fleet: Fleet, tmp_path: Path) -> tuple[Machine, str]:
    """A Debian with dnf, a repository, and a package that provides what Debian itself has; and the version in it."""
    rpms.need_tools()
    tree, packages, _ = build_rpms(ROOT, None, tmp_path / "out")
    listed = subprocess.run(
        ["rpm", "-qp", "--requires", *(package.path for package in packages)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    libraries = {need for need in listed if "(" in need and not need.startswith(("rpmlib", "python"))}
    machine = fleet.add("rpm1")
    machine.environment["HOME"] = "/root"
    machine.run(INSTALL, timeout=150)
    machine.push(build_repo(tmp_path / "out").path, "/srv/repo")
    machine.push(rpms.make_system(tmp_path, libraries), "/srv/system.rpm")
    (machine.root / "root/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    machine.run("rpm -i /srv/system.rpm")
    return machine, tree.version


@pytest.mark.timeout(300)
def test_dnf_and_an_environment_file_are_enough(server: tuple[Machine, str]) -> None:
    machine, version = server
    said = machine.run(f"{DNF} install {NAME}", timeout=120)
    assert f"fill /etc/{NAME}/{NAME}.env" in said.stdout + said.stderr
    assert machine.run(f"systemctl is-enabled {NAME}.service").stdout.strip() == "enabled"
    assert machine.run(f"systemctl start {NAME}.service", check=False).returncode != 0
    assert "has no variable" in machine.run(f"journalctl -u {NAME}.service").stdout

    url = f"DATABASE_URL=sqlite:////var/lib/{NAME}/state/places.sqlite3"
    machine.run(
        f"echo {url} >>/etc/{NAME}/{NAME}.env && cat >/etc/{NAME}/credentials/SECRET_KEY", data=secrets.token_hex(32)
    )
    machine.run(f"systemctl start {NAME}.service", timeout=120)
    assert machine.run(ASK).stdout == "200"
    assert NAME in machine.run(f"ps -o user:20= -C gunicorn,python,python3.11 | sort -u; id -un {NAME}").stdout
    assert machine.run(f"rpm -V {NAME}-release-{version}").stdout == ""

    refused = machine.run(f"{DNF} remove '{NAME}*'", check=False)
    assert refused.returncode != 0
    assert "which is current, runs it" in refused.stdout + refused.stderr
    assert machine.run(ASK).stdout == "200", "an erasing that was refused stopped the service"

    machine.run(f"systemctl disable --now {NAME}.service && rm -r /opt/{NAME}/current /opt/{NAME}/generations")
    machine.run(f"{DNF} remove '{NAME}*'")
    assert not (machine.root / "opt" / NAME).exists()
    assert (machine.root / f"var/lib/{NAME}/state/places.sqlite3").exists()
