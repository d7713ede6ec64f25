"""Releases that come as rpms: on a machine with rpm and dnf, from the operator's file or its own repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.agents import AgentError
from deploy.artifacts import ReleaseTree
from deploy.artifacts.rpm.packages import Payload, Recipe
from deploy.artifacts.rpm.repo import build_repo
from deploy.facts import Host, Lack
from deploy.fleet import machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Machine
from tests.deploy.agent import kit
from tests.deploy.agent.kit import Release, outcome
from tests.support import rpms
from tests.support.machine import NAME, Server, install, load
from tests.support.signing import signer
from tests.support.staging import Operator

OPT = f"/opt/{NAME}"
REPOSITORY = "[s]\nname=s\nbaseurl=file:///srv/repo\ngpgcheck=0\nmetadata_expire=0\n"


@dataclass
class Site:
    """A server, and the operator's side of it."""

    server: Server
    folder: Path
    out: Path

    @property
    def operator(self) -> Operator:
        return Operator(self.folder, self.server, self.server.argv)

    def observe(self) -> Host:
        return self.operator.observe()

    def bring(self, release: ReleaseTree, artifact: str = "rpm", source: str = "operator") -> tuple[Lack, str]:
        return self.operator.bring(release, artifact, source)

    def serve(self, number: int, release: ReleaseTree) -> None:
        """Make a generation of a release that is there, and switch to it."""
        self.operator.prepare(number, release)
        self.server.activate(number)

    def rpm(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.server.machine.run(["rpm", *words], check=check)

    def path(self, release: ReleaseTree) -> Path:
        """Where a release lies on the server, as seen from outside."""
        return self.server.machine.root / OPT[1:] / "releases" / release.version

    def contents(self, release: ReleaseTree) -> dict[str, bytes | str]:
        return contents(self.path(release))

    def send(self, release: ReleaseTree, package: Path | None = None, **changes: Any) -> dict[str, Any]:
        """Send an rpm, as `bring` does, or another one."""
        data = (package or self.package(release)).read_bytes()
        request = {"manifest": release.manifest.text, "length": len(data), "sha256": kit.sha256(data), **changes}
        return self.server("install", data, **request)

    def package(self, release: ReleaseTree) -> Path:
        """Find the rpm of a release."""
        return next(self.out.glob(f"*-release-{release.version}-*.rpm"))


def contents(root: Path) -> dict[str, bytes | str]:
    """Map files to what they contain, or lead to, whatever their modes."""
    found = kit.tree(root)
    return {path: fact if isinstance(fact, str) else fact[0] for path, fact in found.items()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := obstacle():
        pytest.skip(reason)
    rpms.need_tools()
    with machines.fleet(print, packages=("dnf", "openssh-client", "rpm")) as fleet:
        made = install(fleet.add("rpm1"), tmp_path_factory.mktemp("agent"))
        made.environment["HOME"] = "/root"
        (made.root / "root/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")  # Debian's own default is root's home
        made.snapshot()
        yield made


@pytest.fixture
def site(machine: Machine, tmp_path: Path, out: Path) -> Site:
    machine.reset()
    return Site(Server(machine), tmp_path, out)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the operator's artifacts."""
    return tmp_path_factory.mktemp("dist")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Release:
    release = kit.real(tmp_path_factory.mktemp("app"))
    return replace(release, changes={"name": NAME})


@pytest.fixture(scope="module")
def made(app: Release, out: Path) -> dict[str, ReleaseTree]:
    """Three versions, each with its rpm."""
    return {version: rpms.of_release(app.variant(version), out) for version in ("1.0", "2.0", "3.0")}


def test_rpms_roll_out_and_back_and_are_pruned(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """From a release that came as files to two that came as rpms and back, under load: no request fails."""
    one, two, three = made.values()
    server = site.server
    site.bring(one, artifact="tree")
    site.serve(1, one)
    clients = load(server.listen, 8)
    lack, said = site.bring(two)
    assert (lack.form, lack.files, lack.bytes) == ("rpm", 1, site.package(two).stat().st_size)
    assert said.startswith("rpm, ")
    assert said.endswith("sent")
    site.serve(2, two)
    site.bring(three)
    site.serve(3, three)
    server.machine.run("ip route flush default")  # what is there needs no network
    assert server("rollback", to=1, deadline=15, listen=server.listen)["generation"] == 1
    server.activate(3)
    counted = outcome(clients)
    assert counted["failures"] == []
    assert all(counted[f"generation {number}"] for number in (1, 2, 3))

    assert site.contents(two) == contents(two.path)
    assert site.rpm("--verify", "--nodeps", f"{NAME}-release-2.0").stdout == ""
    refused = site.rpm("--erase", f"{NAME}-release-3.0", check=False)
    assert refused.returncode != 0
    assert "generation 3, which is current, runs it" in refused.stderr
    pruned = server("prune", keep=1)
    assert (pruned["generations"], pruned["releases"]) == ([1, 2], ["1.0", "2.0"])
    assert pruned["bytes"] > 2 * sum(entry.get("size", 0) for entry in two.manifest.data["files"]) * 0.9
    assert site.rpm("--query", "--all").stdout.split()[0].startswith(f"{NAME}-release-3.0")
    assert [release.version for release in site.observe().releases] == ["3.0"]
    assert server.get()[1]["generation"] == "3"


def test_what_is_whole_is_not_sent_again(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """Neither for new variables nor when the environment takes files now: what lies there is right."""
    one, _, _ = made.values()
    site.bring(one)
    for artifact in ("rpm", "tree"):
        assert site.bring(one, artifact=artifact) == (Lack(artifact), "nothing sent")
    assert site.send(one)["installed"] is False
    assert not list((site.server.machine.root / OPT[1:] / "store").rglob("*/*"))


def test_a_damaged_release_is_installed_again_while_it_runs(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    one, _, _ = made.values()
    site.bring(one)
    site.serve(1, one)
    file = next(site.path(one).rglob("tiny.py"))
    status = file.stat()
    file.chmod(0o644)
    file.write_bytes(b"#" * status.st_size)
    file.chmod(0o444)
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert site.observe().has("1.0", one.digest), "a look shows what a cheap look can"
    [verified] = site.server("verify", version=None)["releases"]
    assert [problem["path"] for problem in verified["problems"]] == [str(file.relative_to(site.path(one)))]
    assert not site.observe().has("1.0", one.digest)
    lack, said = site.bring(one)
    assert lack.bytes
    assert "sent" in said
    assert site.contents(one) == contents(one.path)
    assert site.server("verify", version=None)["releases"][0]["problems"] == []
    assert site.server.get()[1]["generation"] == "1"


KILLS = {"the agent alone": False, "the agent and its rpm": True}


@pytest.mark.parametrize("rpm_too", KILLS.values(), ids=KILLS)
def test_what_was_killed_half_way_is_installed_by_the_next(
    site: Site, made: Mapping[str, ReleaseTree], rpm_too: bool
) -> None:
    """As soon as rpm has begun to write files."""
    one, _, _ = made.values()
    data = site.package(one).read_bytes()
    request = {"verb": "install", "manifest": one.manifest.text, "length": len(data), "sha256": kit.sha256(data)}
    agent = subprocess.Popen(site.server.argv("install"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin is not None
    agent.stdin.write(json.dumps(request).encode() + b"\n" + data)
    agent.stdin.flush()
    kit.eventually(lambda: any(site.path(one).rglob("*.py*")), 20)
    rpm = [pid for child in children(agent.pid) for pid in children(child)]
    for pid in [*children(agent.pid), *(rpm if rpm_too else [])]:
        os.kill(pid, signal.SIGKILL)
    agent.communicate(timeout=10)
    _, said = site.bring(one)
    assert site.contents(one) == contents(one.path), said
    assert site.rpm("--verify", "--nodeps", f"{NAME}-release-1.0").stdout == ""
    site.serve(1, one)
    assert not list((site.server.machine.root / OPT[1:] / "tmp").iterdir())


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def with_a_file(recipe: Recipe) -> Recipe:
    place = "/etc/sudoers.d/oops"
    spec = f"{recipe.spec}\n{place}\n"
    return replace(recipe, spec=spec, payload={**recipe.payload, place: Payload(0o440, data=b"ALL\n")})


def with_a_scriptlet(recipe: Recipe) -> Recipe:
    return replace(recipe, spec=recipe.spec.replace("%files", "%post\ntouch /oops\n\n%files"))


def with_another_content(recipe: Recipe) -> Recipe:
    place = next(path for path in recipe.payload if path.endswith("/tiny.py"))
    return replace(recipe, payload={**recipe.payload, place: Payload(0o444, data=b"import this\n")})


BAD = {
    "a file more": (with_a_file, "/etc/sudoers.d/oops lies outside"),
    "a scriptlet": (with_a_scriptlet, "scriptlets that this agent does not know"),
    "another content": (with_another_content, "tiny.py is not as in the manifest"),
}


@pytest.mark.parametrize(("change", "why"), BAD.values(), ids=BAD)
def test_a_package_brings_what_its_manifest_says_and_does_nothing(
    site: Site, app: Release, tmp_path: Path, change: Callable[[Recipe], Recipe], why: str
) -> None:
    """The signature is over the manifest, and rpm would do the rest as root."""
    made = rpms.of_release(app.variant("6.6"), tmp_path, change)
    with pytest.raises(kit.AgentFailure) as caught:
        site.send(made, next(tmp_path.glob("*.rpm")))
    assert caught.value.code == "bad-package"
    assert why in caught.value.error["message"]
    assert site.observe().releases == ()
    assert not any((site.server.machine.root / path).exists() for path in ("oops", "etc/sudoers.d/oops"))


def test_what_is_wrong_with_what_was_sent(site: Site, made: Mapping[str, ReleaseTree], tmp_path: Path) -> None:
    """Each with its code, and nothing of it stays."""
    one, two, _ = made.values()
    machine = site.server.machine

    def refused(release: ReleaseTree, **changes: Any) -> str:
        with pytest.raises(kit.AgentFailure) as caught:
            site.send(release, **changes)
        return caught.value.code

    assert refused(one, sha256="0" * 64) == "hash-mismatch"
    assert refused(one, manifest=two.manifest.text) == "bad-package"
    ada = signer(tmp_path)
    (machine.root / f"etc/{NAME}").mkdir(exist_ok=True)
    (machine.root / f"etc/{NAME}/allowed_signers").write_text(ada.line)
    assert refused(one) == "unsigned"
    assert refused(one, signature=ada.sign(two.manifest.text.encode())) == "bad-signature"
    assert site.observe().releases == ()
    good = ada.sign(one.manifest.text.encode())
    assert site.send(one, signature=good)["signed_by"] == ada.who
    assert site.server("manifest", version="1.0")["signature"] == good
    machine.run("mv /usr/bin/rpm /usr/bin/rpm.away")
    assert refused(two, signature=ada.sign(two.manifest.text.encode())) == "no-rpm"


def test_dnf_brings_it_from_the_servers_own_repository(
    site: Site, made: Mapping[str, ReleaseTree], tmp_path: Path
) -> None:
    """Nothing is sent, and the same is checked before anything is installed."""
    one, _, _ = made.values()
    machine = site.server.machine
    with pytest.raises(AgentError) as caught:
        site.bring(one, source="repository")
    assert caught.value.code == "rpm-refused"
    machine.push(build_repo(site.out).path, "/srv/repo")
    (machine.root / "etc/yum.repos.d").mkdir(parents=True, exist_ok=True)
    (machine.root / "etc/yum.repos.d/s.repo").write_text(REPOSITORY)
    machine.push(rpms.make_system(tmp_path), "/srv/system.rpm")
    machine.run("rpm -i /srv/system.rpm")
    lack, said = site.bring(one, source="repository")
    assert (lack.bytes, said) == (0, "dnf brought it")
    assert site.contents(one) == contents(one.path)
    site.serve(1, one)
    assert f"{NAME}-release-1.0" in site.rpm("--query", "--all").stdout
    assert f"{NAME}-release-2.0" not in site.rpm("--query", "--all").stdout
