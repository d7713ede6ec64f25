"""Each form of a release by what an operator types: one key of the environment file, `fab bootstrap`, `fab deploy`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy import artifacts, secrets_file
from deploy import contract as contracts
from deploy.artifacts import image
from deploy.artifacts.cache import Cache
from deploy.artifacts.rpm import packages
from deploy.fleet import access, machines
from deploy.fleet.base import obstacle
from tests.deploy.agent import kit
from tests.support import images, rpms
from tests.support.laid_out import Files, expected, installed
from tests.support.remote import NAME, PYPROJECT, Remote, checkout
from tests.support.repository import ROOT
from tests.support.salted import EVERY

pytestmark = pytest.mark.timeout(900)  # installations of packages, on whatever computer

ROLES = {"lb1": "lb", "web1": "web", "web2": "web"}
FORMS = ("apparmor", "docker.io", "rpm")  # at hand without the network, for the states to install
VERSIONS = ("1.0", "2.0", "3.0", "4.0", "5.0", "9.0")
ENVIRONMENT = """
transport = "ssh"
artifact = "tree"
secrets = ["SECRET_KEY"]

[ssh]
identity = "{access.identity}"
known_hosts = "{access.known_hosts}"
config = "/dev/null"
connect_timeout = 20

[balancer]
listen = "{lb}:443"
tls = "self-signed"
names = ["sample.example"]
max_request = 5

[rollout]
lease = 15
drain_timeout = 5
keep = 2

[rollout.bake]
seconds = 0

{hosts}
"""


class Site(Remote):
    """Servers that had nothing when they were switched on, and a desk with releases in every form."""

    patience = 600.0

    def choose(self, artifact: str) -> None:
        """Change the one key."""
        self.file.write_text(re.sub(r"(?m)^artifact = .*$", f'artifact = "{artifact}"', self.file.read_text()))

    def bootstrap(self) -> None:
        """Bring the servers to what the environment file says."""
        self.fab("bootstrap:fleet")
        self.bundle = secrets_file.read(self.path / ".env.fleet")["TLS_CERTIFICATE"]

    def make(self, version: str, made: kit.Release) -> None:
        """Build a release in every form, as `make release`, `make rpm` and `make image` would."""
        self.release(version, images.recorded(made.variant(version)))
        dist, tree = self.path / "dist", artifacts.find_release(self.path / "dist", version)
        packages.make(packages.release_recipe(self.contract, tree), dist, Cache(self.path / "cache"))
        image.build_image(ROOT, None, dist, images.base(), self.contract, tree)

    def expected(self, version: str) -> Files:
        """Say what of a release has to lie on a server."""
        return expected(artifacts.find_release(self.path / "dist", version))

    def there(self, host: str, version: str) -> Files:
        """Read what lies there of a release, or in its container."""
        machine = self[host]
        release = self.status()[host].release(version)
        assert release
        if release.form != "image":
            return installed(machine.root / f"opt/{NAME}/releases/{version}")
        [container] = machine.run("docker ps --quiet").stdout.split()
        machine.run(f"rm -rf /srv/copy && docker cp {container}:/opt/{NAME}/release /srv/copy")
        return installed(machine.root / "srv/copy")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Take away what was built, and the servers' way to anything but each other and this desk."""
        dist, away = self.path / "dist", self.path / ".dist"
        routes = {host: self[host].run("ip route show default").stdout.strip() for host in ROLES}
        dist.rename(away)
        try:
            for host in ROLES:
                self[host].run("ip route flush default")
            yield
        finally:
            away.rename(dist)
            for host, route in routes.items():
                self[host].run(f"ip route add {route}")

    def roll(self, first: str, second: str) -> None:
        """Roll out, once more under load, and back with nothing at hand; then there is nothing to do."""
        self.deploy(first)
        with self.traffic(clients=8, rate=40) as probed:
            self.deploy(second)
        assert self.versions() == {second}
        for host in ("web1", "web2"):
            assert self.there(host, second) == self.expected(second), host
        with self.alone(), self.traffic(clients=8, rate=40) as again:
            self.fab("rollback:fleet")
            assert self.versions() == {first}
        for summary in (*probed, *again):
            assert summary.failed == 0, summary
            assert summary.requests > 0
        self.deploy(first, expect=10)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, real_release: kit.Release) -> Iterator[Site]:
    """Boot empty servers, and describe them."""
    if reason := obstacle():
        pytest.skip(reason)
    rpms.need_tools()
    folder = tmp_path_factory.mktemp("forms")
    sockets = Path(tempfile.mkdtemp(prefix="slf", dir="/tmp"))  # short: a socket's path may have 107 bytes
    with (
        pytest.MonkeyPatch.context() as patch,
        machines.fleet(print, packages=("haproxy", *EVERY), cached=FORMS) as fleet,
    ):
        patch.setenv("XDG_RUNTIME_DIR", str(sockets))
        checkout(folder)
        addresses = {name: fleet.add(name).address for name in ROLES}
        for name in ("web1", "web2"):
            images.let_engine_run(fleet.machines[name])
        given = access.write(fleet, folder / "access")
        hosts = [f'[hosts.{n}]\nroles = ["{role}"]\naddress = "{addresses[n]}"\n' for n, role in ROLES.items()]
        text = ENVIRONMENT.format(access=given, lb=addresses["lb1"], hosts="\n".join(hosts))
        (folder / "deploy/environments/fleet.toml").write_text(text)
        made = Site(folder, fleet, contracts.parse(PYPROJECT), "", {"XDG_RUNTIME_DIR": str(sockets)})
        for version in VERSIONS:
            made.make(version, real_release)
        try:
            yield made
        finally:
            made.hang_up()
            shutil.rmtree(sockets)


def changed(site: Site) -> dict[str, list[str]]:
    """Run the states once more; say what they changed."""
    hosts = site.fab("highstate:fleet", "--json").last["hosts"]
    return {host["host"]: [state["name"] for state in host["changed"]] for host in hosts}


def test_rpms_on_servers_that_were_empty(site: Site) -> None:
    site.choose("rpm")
    site.bootstrap()
    site.roll("1.0", "9.0")
    for host in ("web1", "web2"):
        said = site[host].run("rpm --query --all --queryformat '%{NAME}\\n'").stdout
        assert set(said.split()) == {f"{NAME}-release-{version}" for version in ("1.0", "9.0")}
    assert changed(site) == {host: [] for host in ROLES}


def test_images_where_there_was_no_engine(site: Site) -> None:
    """The same release as before, too: byte by byte what came as an rpm."""
    site.choose("tree")
    site.bootstrap()
    site.choose("image")
    refused = site.fab("plan:fleet", "--version", "2.0", expect=2).err
    for host in ("web1", "web2"):
        needs = f'{host}: artifact = "image" needs a Docker engine that answers at unix:///run/docker.sock, '
        assert re.search(rf"{re.escape(needs)}which it has not -> .*fab highstate:fleet$", refused, re.MULTILINE)
    site.bootstrap()
    assert changed(site) == {host: [] for host in ROLES}
    site.roll("2.0", "3.0")
    site.deploy("3.0")
    site.deploy("9.0")
    assert {host.release("9.0").form for host in site.status().values()} == {"image"}
    assert site.there("web1", "9.0") == site.expected("9.0")


def test_files_again(site: Site) -> None:
    site.choose("tree")
    site.bootstrap()
    site.roll("4.0", "5.0")
    site.deploy("9.0")
    assert {host.release("9.0").form for host in site.status().values()} == {"tree"}
    assert site.there("web1", "9.0") == site.expected("9.0")
