"""compose.yaml at work: a copy with secrets of its own, on an engine, with servers from Debian's packages.

The images that the file names by default can't be had without a registry. One with PostgreSQL, HAProxy and Redis stands
in for all three; its entrypoint does of the official PostgreSQL's what the file relies on.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.artifacts import cache as caches
from deploy.artifacts.image import base as bases
from deploy.artifacts.image import engine
from tests.support.releases import ROOT

ENTRYPOINT = Path(__file__).parent / "database_entrypoint.sh"
SUITE = "bookworm"
PACKAGES = "postgresql,haproxy,redis-server"
UNREAD = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*", "*/libLLVM*", "*/llvmjit*", "*/bitcode/*")
NO_CLUSTER = (
    'd="$1/etc/postgresql-common/createcluster.d"; mkdir -p "$d"; echo create_main_cluster=false >"$d/none.conf"'
)
NEEDED = ("compose.yaml", "packaging/image/database.sh", "packaging/image/haproxy.cfg", "salt/postgresql/files")
PATH = "/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def document() -> dict[str, Any]:
    """The file as data."""
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def rootfs() -> Path:
    """An archive with the servers; made once, and kept per user."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={PACKAGES}"]
    command += [f"--hook-dir={bases._HOOKS}", f"--essential-hook={NO_CLUSTER}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in UNREAD]
    cache, key = caches.of_user(), caches.key(SUITE, *command)
    entry = cache.entry("services", key)
    if entry is None:
        with cache.adding("services", key) as folder:
            whole = [*command, SUITE, str(folder / "rootfs.tar"), *bases._sources(SUITE)]
            subprocess.run(whole, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        entry = cache.root / "services" / key
    return entry / "rootfs.tar"


def servers(client: Any) -> str:
    """The name of that image in the engine; it stays there for the next run, for importing it takes seconds."""
    path = rootfs()
    tag = path.parent.name[:12]
    if not client.images.list(f"slipway-servers:{tag}"):
        client.api.import_image_from_file(
            str(path), repository="slipway-servers", tag=tag, changes=[f"ENV PATH={PATH}"]
        )
    return f"slipway-servers:{tag}"


@contextmanager
def database(client: Any, servers: str) -> Iterator[str]:
    """The name of an image on top of it that runs PostgreSQL."""
    recipe = (
        f'FROM {servers}\nCOPY {ENTRYPOINT.name} /usr/local/bin/\nENTRYPOINT ["/usr/local/bin/{ENTRYPOINT.name}"]\n'
    )
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(ENTRYPOINT, ENTRYPOINT.name)
        about = tarfile.TarInfo("Dockerfile")
        about.size = len(recipe)
        tar.addfile(about, io.BytesIO(recipe.encode()))
    context.seek(0)
    built, _ = client.images.build(fileobj=context, custom_context=True, rm=True, forcerm=True)
    try:
        yield str(built.id)
    finally:
        client.images.remove(built.id, force=True)


@dataclass
class Project:
    """A copy of the file with what it names, and how to call docker-compose on it."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker-compose", *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def url(self) -> str:
        return f"http://{self('port', 'lb', '8080').strip()}"


@contextmanager
def project(client: Any, folder: Path, app: str, servers: str, database: str) -> Iterator[Project]:
    """Give a project of its own, and take everything of it away again."""
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    for secret in document()["secrets"].values():
        (folder / secret["file"]).parent.mkdir(parents=True, exist_ok=True)
        (folder / secret["file"]).write_text(f"{secrets.token_hex(24)}\n")
    ours = f"unix://{(ROOT / engine.STATE / engine.SOCKET)}"
    made = Project(
        folder,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": ours if engine.is_ours(client) else os.environ.get("DOCKER_HOST", ""),
            "COMPOSE_PROJECT_NAME": f"slipway{secrets.token_hex(4)}",
            "IMAGE": app,
            "POSTGRES": database,
            "HAPROXY": servers,
            "REDIS": servers,
            "PORT": "0",
        },
    )
    try:
        yield made
    finally:
        made("down", "--volumes", "--timeout", "5", check=False)
