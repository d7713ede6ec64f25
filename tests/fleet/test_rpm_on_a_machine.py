"""The life of the packages on a booted machine, by its own dnf and systemd: from an empty server to an empty one.

dnf checks every signature. The application is gazetteer itself, in two versions.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import contract
from deploy.artifacts import ReleaseTree
from deploy.artifacts import cache as caches
from deploy.artifacts.rpm import openpgp, packages
from deploy.artifacts.rpm.repo import PUBLIC, build_repo
from deploy.fleet import machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Machine
from tests.support import releases, rpms
from tests.support.repository import ROOT

NAME = "gazetteer"
DNF = "dnf --assumeyes --releasever 1 --setopt metadata_expire=0"
READY = "curl -s -o /dev/null -w '%{http_code}' -H 'Host: localhost' http://127.0.0.1:8000/readyz"
RELEASES = f"opt/{NAME}/releases"


@dataclass(frozen=True)
class Server:
    """A Debian with dnf, and two versions in a repository that it trusts."""

    machine: Machine
    old: str
    new: str
    repositories: Path

    def run(self, command: str, timeout: float = 120) -> str:
        """Run a command that succeeds."""
        done = self.machine.run(command, timeout=timeout)
        return done.stdout + done.stderr

    def refused(self, command: str) -> str:
        """Run a command that fails."""
        done = self.machine.run(command, check=False, timeout=120)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def publish(self, which: str) -> None:
        """Put a repository where the server looks for one."""
        self.machine.run("rm -rf /srv/repo")
        self.machine.push(self.repositories / which / "repo", "/srv/repo")

    def process(self) -> str:
        """Name what serves: the generation's unit and its first process."""
        unit = self.machine.run(f"basename $(readlink /opt/{NAME}/current)").stdout.strip()
        pid = self.machine.run(f"systemctl show --value --property MainPID {NAME}@{unit}.service").stdout.strip()
        assert pid not in ("", "0")
        return f"{unit} {pid}"

    def serves(self) -> str:
        """Answer the version that serves, if it does."""
        assert self.machine.run(READY).stdout == "200"
        path = self.machine.run(f"readlink --canonicalize /opt/{NAME}/current/release").stdout.strip()
        return path.rpartition("/")[2]

    def there(self) -> set[str]:
        """Name the versions that are installed."""
        asked = self.machine.run("rpm -qa --qf '%{NAME}\\n'").stdout.split()
        start = f"{NAME}-release-"
        found = {name.removeprefix(start) for name in asked if name.startswith(start)}
        folder = self.machine.root / RELEASES
        assert found == ({path.name for path in folder.iterdir()} if folder.exists() else set())
        return found


def packed(tree: ReleaseTree, out: Path) -> list[Path]:
    """Build the three packages of a release."""
    read, cache = contract.read(ROOT), caches.of_user()
    recipes = (packages.release_recipe(read, tree), packages.host_recipe(read, tree))
    return [package.path for recipe in recipes for package in packages.make(recipe, out, cache)]


def commits(tree: ReleaseTree) -> int:
    """Tell which of two is newer: of a young project it is the one made here, which has a commit more."""
    return int(tree.version.partition(".dev")[2].partition("+")[0] or 0)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if reason := obstacle():
        pytest.skip(reason)
    rpms.need_tools()
    with machines.fleet(print, packages=("dnf", "openssh-client", "rpm")) as fleet:
        yield fleet.add("rpm1")


@pytest.fixture(scope="module")
def server(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Server:
    scratch = tmp_path_factory.mktemp("rpms")
    (scratch / "project").mkdir()
    other = releases.variant("other", {"app/about.py": (ROOT / "app/about.py").read_text() + "\nOTHER = True\n"})
    old, new = sorted((releases.base(), other), key=commits)
    trees = {"first": (old,), "both": (old, new)}
    with openpgp.opened(rpms.signing_key(scratch / "project"), scratch / "project") as signer:
        for folder, wanted in trees.items():
            (scratch / folder).mkdir()
            made = [path for tree in wanted for path in packed(tree, scratch / folder)]
            repository = build_repo(scratch / folder, NAME, signer).path
    asked = subprocess.run(["rpm", "-qp", "--requires", *made], capture_output=True, text=True, check=True).stdout
    libraries = {need for need in asked.splitlines() if "(" in need and not need.startswith(("rpmlib", "python"))}
    machine.environment["HOME"] = "/root"
    (machine.root / "root/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")  # Debian's own default is root's home
    key = f"/etc/pki/rpm-gpg/{PUBLIC}{NAME}"
    machine.push(repository / f"{PUBLIC}{NAME}", key)
    machine.run("mkdir -p /etc/yum.repos.d")
    described = rpms.described("file:///srv/repo", f"file://{key}")
    (machine.root / f"etc/yum.repos.d/{NAME}.repo").write_text(f"{described}\n")
    machine.push(rpms.make_system(scratch, libraries), "/srv/system.rpm")
    machine.run("rpm -i /srv/system.rpm")
    return Server(machine, old.version, new.version, scratch)


@pytest.mark.timeout(600)
def test_from_an_empty_server_to_an_empty_one(server: Server) -> None:
    install(server)
    upgrade(server)
    switch_and_go_back_without_the_network(server)
    downgrade(server)
    erase_one_and_bring_it_back(server)
    erase_everything(server)


def install(server: Server) -> None:
    """One name, the environment file and the secret are enough."""
    server.publish("first")
    assert f"fill /etc/{NAME}/{NAME}.env" in server.run(f"{DNF} install {NAME}")
    assert server.run(f"systemctl is-enabled {NAME}.service").strip() == "enabled"
    server.refused(f"systemctl start {NAME}.service")
    assert "has no variable" in server.run(f"journalctl -u {NAME}.service")
    url = f"DATABASE_URL=sqlite:////var/lib/{NAME}/state/places.sqlite3"
    secret = secrets.token_hex(32)
    server.machine.run(f"echo {url} >>/etc/{NAME}/{NAME}.env && cat >/etc/{NAME}/credentials/SECRET_KEY", data=secret)
    started = server.machine.run(f"systemctl start {NAME}.service", check=False)
    assert started.returncode == 0, server.run(f"journalctl --output=cat --unit={NAME}.service")
    assert (server.serves(), server.there()) == (server.old, {server.old})
    _, pid = server.process().split()
    assert server.run(f"stat --format %U /proc/{pid}").strip() == NAME, "a user of its own"
    assert server.run(f"rpm -V {NAME} {NAME}-release-{server.old}") == ""


def upgrade(server: Server) -> None:
    """The next version comes beside the one that serves, and touches no process."""
    before = server.process()
    server.publish("both")
    server.run(f"{DNF} upgrade")
    assert server.there() == {server.old, server.new}
    assert (server.process(), server.serves()) == (before, server.old)
    server.run(f"{DNF} autoremove")
    assert server.there() == {server.old, server.new}, "what nobody asked for by name went"


def switch_and_go_back_without_the_network(server: Server) -> None:
    server.run(f"/usr/lib/{NAME}/use-release {server.new}")
    assert server.serves() == server.new
    server.machine.run("rm -r /srv/repo")
    server.run(f"/usr/lib/{NAME}/use-release {server.old}")
    assert server.serves() == server.old
    assert server.run(f"rpm -V {NAME}-release-{server.old} {NAME}-release-{server.new}") == "", "serving changed files"


def downgrade(server: Server) -> None:
    """What versions share goes back, too, and still no process is touched."""
    server.publish("both")
    before = server.process()
    server.run(f"{DNF} downgrade {NAME} {NAME}-host")
    rows = server.run(f"rpm -q --qf '%{{VERSION}}\\n' {NAME} {NAME}-host").split()
    assert len(set(rows)) == 1
    assert (server.process(), server.serves()) == (before, server.old)
    server.run(f"{DNF} upgrade")
    assert server.process() == before


def erase_one_and_bring_it_back(server: Server) -> None:
    for version, why in ((server.old, "which is current, runs it"), (server.new, "is kept for rollback")):
        assert why in server.refused(f"{DNF} remove {NAME}-release-{version}")
        assert why in server.refused(f"rpm -e --nodeps {NAME}-release-{version}")
    server.run(f"/usr/lib/{NAME}/use-release {server.new}")
    server.run(f"""echo '{{"keep": 1}}' | /usr/lib/{NAME}/releasectl --name {NAME} prune""")
    assert server.there() == {server.new}
    server.run(f"{DNF} install {NAME}-release-{server.old}")
    assert server.there() == {server.old, server.new}
    server.run(f"{DNF} remove {NAME}-release-{server.old}")
    assert server.there() == {server.new}
    variables = server.run(f"cat /etc/{NAME}/{NAME}.env")
    before = server.process()
    server.run(f"{DNF} reinstall {NAME} {NAME}-host {NAME}-release-{server.new}")
    assert server.run(f"cat /etc/{NAME}/{NAME}.env") == variables
    assert (server.process(), server.serves()) == (before, server.new)
    assert server.run(f"rpm -V {NAME}-release-{server.new}") == ""


def erase_everything(server: Server) -> None:
    """Refused while it serves; then everything goes but data, secrets and variables."""
    assert "which is current, runs it" in server.refused(f"{DNF} remove '{NAME}*'")
    assert server.serves() == server.new, "an erasing that was refused stopped the service"
    server.run(f"systemctl disable --now {NAME}.service && rm -r /opt/{NAME}/current /opt/{NAME}/generations")
    server.run(f"{DNF} remove '{NAME}*'")
    root = server.machine.root
    assert not (root / "opt" / NAME).exists()
    assert not list((root / "usr/lib/systemd").rglob(f"{NAME}*"))
    assert (root / f"var/lib/{NAME}/state/places.sqlite3").exists()
    assert (root / f"etc/{NAME}/credentials/SECRET_KEY").exists()
    assert "DATABASE_URL=" in (root / f"etc/{NAME}/{NAME}.env.rpmsave").read_text()
