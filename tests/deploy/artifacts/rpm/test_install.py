"""The packages do in a root what a packager expects: side by side, guarded, reinstalled, erased."""

import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.agent import releases as agent_releases
from deploy.agent.layout import Layout
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.rpm import build_rpms, openpgp
from deploy.artifacts.rpm.repo import build_repo
from deploy.fleet.base import obstacle
from tests.support import rpms
from tests.support import sample as samples
from tests.support.rpms import Root

NAME = "sample-shop"
OLD, NEW = "1.0", "1.1"
ENV = f"/etc/{NAME}/{NAME}.env"


@dataclass(frozen=True)
class Built:
    """Two versions, and a repository for each moment: when only the first was out, and with both."""

    trees: dict[str, ReleaseTree]
    packages: dict[str, Path]
    first: Path
    both: Path
    system: Path

    def release(self, version: str) -> Path:
        return self.packages[f"{NAME}-release-{version}-{version}"]

    def host(self, version: str) -> Path:
        return self.packages[f"{NAME}-host-{version}"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, cache: Cache) -> Built:
    rpms.need_tools()
    folder = tmp_path_factory.mktemp("rpms")
    sample, trees = samples.make(folder), {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(sample.wheels)}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        for version, out in ((OLD, "first"), (NEW, "both")):
            sample.write("shop/prices.txt", f"apple {version}\n")
            sample.commit(version)
            sample.git("tag", f"v{version}")
            trees[version], _, _ = build_rpms(sample.root, f"v{version}", folder / out, cache)
    for path in (folder / "first").glob("*.rpm"):
        shutil.copy2(path, folder / "both")
    with openpgp.opened(rpms.signing_key(sample.root), sample.root) as signer:
        repositories = [build_repo(folder / out, NAME, signer, cache).path for out in ("first", "both")]
    packages = {path.name.rsplit("-", 1)[0]: path for path in (folder / "both").glob("*.rpm")}
    return Built(trees, packages, *repositories, rpms.make_system(tmp_path_factory.mktemp("system")))


@pytest.fixture
def root(built: Built, tmp_path: Path) -> Root:
    return rpms.make_root(tmp_path, built.system)


def installed_files(root: Root, version: str) -> dict[str, str]:
    """Map the files of an installed release to what they contain, or lead to."""
    base = root.path / "opt" / NAME / "releases" / version
    found = [path for path in base.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        path.relative_to(base).as_posix(): str(path.readlink()) if path.is_symlink() else digest(path) for path in found
    }


def wanted_files(tree: ReleaseTree) -> dict[str, str]:
    wanted = {entry["path"]: entry.get("link") or entry["sha256"] for entry in tree.manifest.data["files"]}
    return wanted | {"manifest.json": tree.digest}


def test_two_versions_lie_side_by_side_as_they_were_built(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(OLD), built.release(OLD), built.release(NEW))
    for version, tree in built.trees.items():
        assert installed_files(root, version) == wanted_files(tree)
        root.rpm("-V", f"{NAME}-release-{version}")
    root.rpm("-V", f"{NAME}-host")


def test_the_agent_takes_an_installed_release_as_its_own(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(NEW), built.release(NEW))
    layout = Layout.under(root.path / "opt" / NAME)
    assert agent_releases.look(layout, agent_releases.load(layout, NEW)) == []


def test_only_root_may_read_secrets_and_nobody_may_write_a_release(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(NEW), built.release(NEW))
    modes = {path: stat.S_IMODE((root.path / path).stat().st_mode) for path in (f"etc/{NAME}/credentials", ENV[1:])}
    assert list(modes.values()) == [0o700, 0o640]
    release = root.path / "opt" / NAME / "releases" / NEW
    writable = [
        path for path in release.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o222
    ]
    assert not writable


def test_the_release_that_runs_is_not_erased(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(OLD), built.release(OLD), built.release(NEW))
    root.generation(NAME, 1, OLD)
    root.generation(NAME, 2, NEW, current=True)
    said = root.rpm("-e", f"{NAME}-release-{NEW}", expect=1).out
    assert f"release {NEW} stays: generation 2, which is current, runs it" in said
    assert f"systemctl disable --now {NAME}.service" in said
    said = root.rpm("-e", f"{NAME}-release-{OLD}", expect=1).out
    assert f"release {OLD} stays: generation 1 is kept for rollback" in said
    assert installed_files(root, NEW) == wanted_files(built.trees[NEW])
    shutil.rmtree(root.path / "opt" / NAME / "generations/1")
    root.rpm("-e", f"{NAME}-release-{OLD}")
    assert not (root.path / "opt" / NAME / "releases" / OLD).exists()
    root.rpm("-V", f"{NAME}-release-{NEW}")


def test_the_guard_needs_no_interpreter(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(NEW), built.release(NEW))
    root.generation(NAME, 1, NEW, current=True)
    (root.path / "bin/sh").unlink()
    assert "stays" in root.rpm("-e", f"{NAME}-release-{NEW}", expect=1).out


def test_reinstalling_is_no_erasing(built: Built, root: Root) -> None:
    root.rpm("-i", built.host(NEW), built.release(NEW))
    root.generation(NAME, 1, NEW, current=True)
    (root.path / "opt" / NAME / "releases" / NEW / "pyvenv.cfg").unlink()
    root.rpm("-U", "--replacepkgs", built.release(NEW))
    assert installed_files(root, NEW) == wanted_files(built.trees[NEW])


def test_dnf_installs_all_by_one_name_and_starts_nothing_unconfigured(built: Built, root: Root) -> None:
    (root.path / "run/systemd/system").mkdir(parents=True)
    said = root.dnf(built.first, "install", NAME).out
    assert root.installed() == {NAME, f"{NAME}-host", f"{NAME}-release-{OLD}"}
    assert installed_files(root, OLD) == wanted_files(built.trees[OLD])
    assert root.calls() == [
        f"systemd-sysusers {NAME}.conf",
        f"systemd-tmpfiles --create {NAME}.conf",
        "systemctl daemon-reload",
        f"systemctl --no-reload preset {NAME}.service",
        "systemctl daemon-reload",
    ]
    assert f"fill {ENV}, then: systemctl start {NAME}.service" in said


def test_dnf_starts_the_service_when_it_is_configured_and_nothing_ever_ran(built: Built, root: Root) -> None:
    (root.path / "run/systemd/system").mkdir(parents=True)
    root.write(ENV, "SHOP=open\n")
    root.dnf(built.first, "install", NAME)
    assert (root.path / ENV[1:]).read_text() == "SHOP=open\n"
    assert root.calls()[-1] == f"systemctl start {NAME}.service"


def test_an_upgrade_brings_the_next_version_beside_and_touches_no_process(built: Built, root: Root) -> None:
    (root.path / "run/systemd/system").mkdir(parents=True)
    root.dnf(built.first, "install", NAME)
    root.generation(NAME, 1, OLD, current=True)
    root.calls()
    root.dnf(built.both, "upgrade")
    everything = {NAME, f"{NAME}-host", f"{NAME}-release-{OLD}", f"{NAME}-release-{NEW}"}
    assert root.installed() == everything
    assert set(root.calls()) == {
        f"systemd-sysusers {NAME}.conf",
        f"systemd-tmpfiles --create {NAME}.conf",
        "systemctl daemon-reload",
    }
    root.dnf(built.both, "autoremove")
    assert root.installed() == everything, "autoremove took what rollback needs"
    root.dnf(built.both, "remove", f"{NAME}-release-{OLD}", expect=1)
    assert f"{NAME}-release-{OLD}" in root.installed()
    root.dnf(built.both, "downgrade", NAME, f"{NAME}-host")
    assert root.installed() == everything
    root.dnf(built.both, "reinstall", NAME, f"{NAME}-host", f"{NAME}-release-{OLD}")
    assert installed_files(root, OLD) == wanted_files(built.trees[OLD])


def test_erasing_everything_leaves_data_secrets_and_variables(built: Built, root: Root) -> None:
    (root.path / "run/systemd/system").mkdir(parents=True)
    root.dnf(built.both, "install", NAME, f"{NAME}-release-{OLD}")
    root.write(ENV, "SHOP=open\n")
    root.write(f"/etc/{NAME}/credentials/KEY", "secret")
    root.write(f"/var/lib/{NAME}/state/shop.sqlite3", "data")
    root.write(f"/opt/{NAME}/store/ab/cd", "content")
    root.generation(NAME, 1, NEW, current=True)
    root.calls()
    root.dnf(built.both, "remove", f"{NAME}*", expect=1)
    assert {f"{NAME}-host", f"{NAME}-release-{NEW}"} <= root.installed()
    assert not root.calls(), "the service was stopped"
    base = root.path / "opt" / NAME
    (base / "current").unlink()
    shutil.rmtree(base / "generations")
    root.dnf(built.both, "remove", f"{NAME}*")
    assert root.installed() == set()
    assert f"systemctl --no-reload disable --now {NAME}.service" in root.calls()
    assert not base.exists()
    assert (root.path / f"var/lib/{NAME}/state/shop.sqlite3").read_text() == "data"
    assert (root.path / f"etc/{NAME}/credentials/KEY").read_text() == "secret"
    assert (root.path / f"{ENV[1:]}.rpmsave").read_text() == "SHOP=open\n"


def test_a_debian_that_is_not_booted_is_ready_for_its_first_boot(built: Built, tmp_path: Path) -> None:
    """As an image of a machine is made: systemd's own programs do what the scriptlets ask them."""
    if reason := obstacle():
        pytest.skip(reason)
    with rpms.debian_root(tmp_path / "debian", built.system) as root:
        said = root.dnf(built.both, "install", NAME).out
        assert root.installed() == {NAME, f"{NAME}-host", f"{NAME}-release-{NEW}"}
        assert installed_files(root, NEW) == wanted_files(built.trees[NEW])
        assert "Failed" not in said
        assert re.search(rf"^{NAME}:x:\d+:\d+:", (root.path / "etc/passwd").read_text(), re.MULTILINE)
        user = (root.path / f"var/lib/{NAME}/state").stat().st_uid
        assert f"{NAME}:x:{user}:" in (root.path / "etc/passwd").read_text()
        wanted = root.path / f"etc/systemd/system/multi-user.target.wants/{NAME}.service"
        assert str(wanted.readlink()) == f"/lib/systemd/system/{NAME}.service"
        root.rpm("-V", NAME, f"{NAME}-host", f"{NAME}-release-{NEW}")
        root.dnf(built.both, "remove", f"{NAME}*")
        assert root.installed() == set()
        assert not wanted.is_symlink()
        assert (root.path / f"var/lib/{NAME}").is_dir()
