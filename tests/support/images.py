"""Images and containers for tests: the base, the image of a release, and where its containers run."""

import contextlib
import http.client
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy import contract
from deploy.artifacts import ReleaseTree, image
from deploy.artifacts import cache as caches
from deploy.artifacts.image import Image
from deploy.artifacts.image import base as bases
from deploy.artifacts.image.base import Base
from deploy.fleet.machines import Machine
from tests.deploy.agent import kit
from tests.support import rpms
from tests.support.contracts import minimal
from tests.support.releases import OUT, ROOT

# What an engine lacks in a machine that is itself a container: a disk that can lie below overlays, control groups that
# can be written to, and leave to make keyrings.
ROOM = """
set -e
mkdir -p /var/lib/docker
mount -t tmpfs tmpfs /var/lib/docker
mount -o remount,rw /sys/fs/cgroup
for group in /sys/fs/cgroup/*; do
    if mountpoint -q $group; then mount -o remount,rw,bind $group; fi
done
"""
RUNC = """\
#!/bin/sh
for word; do
    shift
    set -- "$@" "$word"
    [ "$word" != create ] || set -- "$@" --no-new-keyring
done
exec runc "$@"
"""
SETTINGS = {
    "iptables": False,
    "bridge": "none",
    "runtimes": {"plain": {"path": "/usr/local/sbin/runc-plain"}},
    "default-runtime": "plain",
}


def let_engine_run(machine: Machine) -> None:
    """Make a machine one that an engine, installed or yet to come, can start on."""
    for path, text in {"usr/local/sbin/runc-plain": RUNC, "etc/docker/daemon.json": json.dumps(SETTINGS)}.items():
        (machine.root / path).parent.mkdir(exist_ok=True)
        (machine.root / path).write_text(text)
        (machine.root / path).chmod(0o755)
    machine.run(ROOM)


def build(release: ReleaseTree, base: Base) -> Image:
    """Build the image of a release."""
    return image.build_image(ROOT, None, OUT, base, contract.read(ROOT), release)


def of_release(made: kit.Release, out: Path) -> ReleaseTree:
    """Write a release of the agent's tests into a folder, its tree and its image, as `make image` would."""
    tree = rpms.write_tree(recorded(made), out)
    image.build_image(ROOT, None, out, base(), minimal(), tree)
    return tree


def recorded(made: kit.Release) -> kit.Release:
    """Say of a release which files its own wheel brought: those have a layer of their own."""
    site = f"lib/python{kit.PYTHON}/site-packages"
    info = f"{site}/sample-{made.version}.dist-info/RECORD"
    record = f"tiny.py,,\n{info.removeprefix(f'{site}/')},,\n".encode()
    return replace(made, files={**made.files, info: record})


def tampered(release: ReleaseTree, out: Path) -> ReleaseTree:
    """Make an image that says it is of a release, with one byte of it changed."""
    out.mkdir()
    copy = replace(release, path=out / release.path.name)
    shutil.copytree(release.path, copy.path, symlinks=True)
    file = next(copy.path.rglob("tiny.py"))
    file.write_bytes(b"#" + file.read_bytes()[1:])
    image.build_image(ROOT, None, out, base(), minimal(), copy)
    return copy


def base() -> Base:
    """Answer the base made of Debian's packages; made once, and kept per user."""
    return bases.made(contract.read(ROOT).python, caches.of_user())


def imported(client: Any, base: Base) -> str:
    """Answer the name of the base in the engine; it stays there for the next run, for importing it takes seconds."""
    tag = base.digest[7:19]
    if not client.images.list(f"slipway-base:{tag}"):
        client.api.import_image_from_file(str(base.layers[0].path), repository="slipway-base", tag=tag)
    return f"slipway-base:{tag}"


def variables() -> dict[str, str]:
    """Answer the variables without which the app does not start."""
    return {
        "SECRET_KEY": secrets.token_hex(32),
        "DATABASE_URL": "sqlite:////var/lib/gazetteer/gazetteer.sqlite3",
        "ENVIRONMENT": "test",
    }


@dataclass
class Place:
    """Where containers of one test run: a network and a volume of their own."""

    client: Any
    reference: str
    network: Any
    volume: Any
    environment: dict[str, str]

    def options(self) -> dict[str, Any]:
        """Answer how the documentation says to run a container: read-only, no capability."""
        return {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "tmpfs": {"/tmp": ""},  # noqa: S108 - in the container
            "network": self.network.name,
            "volumes": {self.volume.name: {"bind": "/var/lib/gazetteer"}},
            "environment": self.environment,
        }

    def run(self, *command: str, **options: Any) -> str:
        """Run a command to its end, and answer what it said."""
        said = self.client.containers.run(self.reference, list(command), remove=True, **self.options() | options)
        return str(said.decode())

    @contextlib.contextmanager
    def serving(self, **options: Any) -> Iterator[Any]:
        """Give a container that serves and is ready."""
        container = self.client.containers.run(self.reference, detach=True, **self.options() | options)
        try:
            container.reload()
            wait(lambda: ask(container, "/readyz")[0] == 200, container)
            yield container
        finally:
            container.remove(force=True)


@contextlib.contextmanager
def place(client: Any, reference: str) -> Iterator[Place]:
    """Give a network and a volume, and take them away again."""
    name = f"slipway-test-{secrets.token_hex(4)}"
    network = client.networks.create(name)
    volume = client.volumes.create(name)
    try:
        yield Place(client, reference, network, volume, variables())
    finally:
        volume.remove(force=True)
        network.remove()


def connect(container: Any) -> http.client.HTTPConnection:
    """Open a connection to the app in a container, on the engine's private network."""
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return http.client.HTTPConnection(network["IPAddress"], 8000, timeout=20)


def ask(container: Any, path: str) -> tuple[int, bytes]:
    """Ask once; 0 when there is no answer yet."""
    connection = connect(container)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait(condition: Any, container: Any, seconds: float = 30) -> None:
    """Wait until something holds; a container that ended tells why it won't."""
    deadline = time.monotonic() + seconds
    while not condition():
        container.reload()
        gone = container.status == "exited"
        assert not gone, container.logs().decode()
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.05)
