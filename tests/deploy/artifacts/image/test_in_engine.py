"""The image of the app on a real engine: read-only, not root, healthy, stopped without losing a request."""

import hashlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from deploy import contract
from deploy.artifacts import ReleaseTree
from deploy.artifacts.image import Image, engine, trial
from deploy.artifacts.image import base as bases
from deploy.artifacts.image import config as configs
from deploy.artifacts.image.base import Base
from tests.support import images, releases
from tests.support.images import Place

pytestmark = pytest.mark.skipif(engine.problem() is not None, reason=str(engine.problem()))
ROOT = releases.ROOT
CONTRACT = contract.read(ROOT)
BUILDERS = {"gcc", "cc", "ld", "as", "make", "cmake", "git", "pip", "pip3", "apt", "apt-get", "curl", "wget"}
GIVEN_AWAY = {".env", ".git", ".npmrc", "credentials", "id_rsa", "id_ed25519"}
KILL_WORKERS = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in (1, os.getpid()):
        os.kill(int(name), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    try:
        with engine.running(ROOT / "var/docker") as client:
            yield client
            if engine.is_ours(client):
                client.images.prune(filters={"dangling": True})
    except engine.EngineError as error:
        if "could not be started" not in str(error):
            raise
        pytest.skip(f"{error}: {'; '.join(error.problems)}")  # no cgroups, or no mounts, for root in this container


@pytest.fixture(scope="module")
def base() -> Base:
    return images.base()


@pytest.fixture(scope="module")
def release() -> ReleaseTree:
    return releases.base()


@pytest.fixture(scope="module")
def made(client: Any, release: ReleaseTree, base: Base) -> Iterator[Image]:
    images.imported(client, base)
    made = images.build(release, base)
    trial.load(client, made.path)
    yield made
    client.images.remove(made.reference, force=True)


@pytest.fixture(scope="module")
def place(client: Any, made: Image) -> Iterator[Place]:
    with images.place(client, made.reference) as place:
        assert "applied 0001" in place.run("migrate")
        yield place


def files_of(client: Any, reference: str) -> dict[str, tuple[Any, ...]]:
    """Read the whole file system of an image: kind, mode, owner and content of each member."""
    container = client.containers.create(reference)
    try:
        exported = io.BytesIO(b"".join(container.export(chunk_size=1 << 22)))
    finally:
        container.remove()
    found = {}
    with tarfile.open(fileobj=exported) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            content = hashlib.sha256(file.read()).hexdigest() if file else member.linkname
            found[member.name.rstrip("/")] = (member.type, oct(member.mode & 0o7777), member.uid, member.gid, content)
    return found


@pytest.fixture(scope="module")
def files(client: Any, made: Image) -> dict[str, tuple[Any, ...]]:
    return files_of(client, made.reference)


def test_the_engine_knows_the_image_by_the_id_that_we_computed(client: Any, made: Image, release: ReleaseTree) -> None:
    found = client.images.get(made.reference)
    assert found.id == made.identity
    assert found.attrs["RootFS"]["Layers"] == [f"sha256:{sha256}" for sha256, _ in made.layers]
    assert found.labels["org.opencontainers.image.revision"] == release.manifest.data["commit"]
    assert found.attrs["Created"] == configs.created(release.manifest.data)
    assert found.attrs["Config"]["StopSignal"] == "SIGTERM"


def test_each_byte_of_the_release_is_in_the_image(files: dict[str, tuple[Any, ...]], release: ReleaseTree) -> None:
    link = files[f"opt/{CONTRACT.name}/releases/{release.version}"]
    assert link[4] == "../release"
    top = f"opt/{CONTRACT.name}/release/"
    for entry in release.manifest.data["files"]:
        kind, mode, uid, gid, content = files[top + entry["path"]]
        assert content == entry.get("sha256", entry.get("link")), entry["path"]
        assert (uid, gid) == (0, 0)
        assert kind == tarfile.SYMTYPE or mode == oct(int(entry["mode"], 8))
    there = {
        path.removeprefix(top) for path, fact in files.items() if path.startswith(top) and fact[0] != tarfile.DIRTYPE
    }
    assert there == {"manifest.json", *(entry["path"] for entry in release.manifest.data["files"])}


def test_nothing_in_the_image_builds_installs_or_gives_away(
    files: dict[str, tuple[Any, ...]], client: Any, made: Image
) -> None:
    names = {Path(path).name for path, fact in files.items() if fact[0] != tarfile.DIRTYPE}
    assert not names & (BUILDERS | GIVEN_AWAY)
    assert not [path for path in files if path.startswith("root/.cache") or path.endswith(".deb")]
    assert [path for path, fact in files.items() if fact[2] == 10001] == [f"var/lib/{CONTRACT.name}"]
    found = client.images.get(made.reference)
    told = json.dumps([found.history(), found.attrs["Config"]])
    assert "SECRET" not in told.upper()
    assert str(ROOT) not in told


def test_serves_read_only_as_its_own_user_and_turns_healthy(place: Place) -> None:
    with place.serving() as container:
        assert container.exec_run(["id", "-u"]).output == b"10001\n"
        places = {"/x": 1, f"/opt/{CONTRACT.name}/release/x": 1, "/tmp/x": 0, f"/var/lib/{CONTRACT.name}/x": 0}  # noqa: S108
        for path, code in places.items():
            assert container.exec_run(["touch", path]).exit_code == code, path
        assert json.loads(images.ask(container, "/version")[1])["version"] in place.reference.replace("-g", "+g", 1)
        health = container.exec_run(["entrypoint", "health"])
        assert (health.exit_code, health.output[:12]) == (0, b"/readyz: 200")
        assert container.exec_run(["entrypoint", "health", "/no-such-page"]).exit_code == 1


def test_the_engines_own_health_check_turns_healthy_and_unhealthy(client: Any, place: Place, made: Image) -> None:
    """With the image's own command, asked more often than the 10 seconds of the image: a test can't wait for those."""
    check = client.images.get(made.reference).attrs["Config"]["Healthcheck"]
    assert (check["Interval"], check["Timeout"], check["StartPeriod"]) == (10 * 10**9, 5 * 10**9, 30 * 10**9)
    often = {"test": check["Test"], "interval": 300_000_000, "timeout": check["Timeout"], "retries": 1}

    def status(container: Any) -> str:
        container.reload()
        return str(container.attrs["State"]["Health"]["Status"])

    with place.serving(healthcheck=often) as container:
        images.wait(lambda: status(container) == "healthy", container)
        container.kill("SIGSTOP")  # process 1 only: it starts no new workers
        container.exec_run(["python", "-c", KILL_WORKERS])
        images.wait(lambda: status(container) == "unhealthy", container)
        container.kill("SIGCONT")


def test_sigterm_lets_the_request_in_flight_end_and_then_stops(place: Place) -> None:
    body = json.dumps({"query": "Lisbon"}).encode()
    with place.serving() as container:
        connection = images.connect(container)
        connection.putrequest("POST", "/api/v1/geocode")
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body[:5])
        time.sleep(0.3)
        started = time.monotonic()
        stopping = threading.Thread(target=container.stop, kwargs={"timeout": CONTRACT.server.graceful_timeout + 10})
        stopping.start()
        time.sleep(1)
        connection.send(body[5:])
        response = connection.getresponse()
        assert response.status in {200, 404}, response.read()  # 404: the database has no places
        connection.close()
        stopping.join()
        assert 1 < time.monotonic() - started < CONTRACT.server.graceful_timeout
        assert container.wait()["StatusCode"] == 0


def refused(place: Place, *command: str, **options: Any) -> tuple[int, str]:
    with pytest.raises(docker.errors.ContainerError) as caught:
        place.run(*command, **options)
    return caught.value.exit_status, caught.value.stderr.decode()


def test_mistakes_are_named(place: Place) -> None:
    assert place.run("--version").startswith(f"{CONTRACT.name}, version ")
    assert place.run("db", "current")
    code, said = refused(place, "frobnicate")
    assert code == 2
    assert "No such command 'frobnicate'" in said
    for command in ("serve", "migrate"):
        code, said = refused(place, command, environment={"DATABASE_URL": "mysql://somewhere"})
        assert code in {1, 4}
        assert "SECRET_KEY: expected at least 32 characters" in said
        assert "DATABASE_URL: expected" in said
        assert "Traceback" not in said


def test_a_second_version_shares_all_but_the_apps_layer(client: Any, made: Image, base: Base) -> None:
    changed = (ROOT / "app/__main__.py").read_text() + "\nLATER = True\n"
    later = images.build(releases.variant("later", {"app/__main__.py": changed}), base)
    trial.load(client, later.path)
    try:
        one, two = (client.images.get(each.reference).attrs["RootFS"]["Layers"] for each in (made, later))
        assert one[:-1] == two[:-1]
        assert one[-1] != two[-1]
    finally:
        client.images.remove(later.reference, force=True)


def test_an_image_of_the_engine_can_be_the_base(client: Any, base: Base, release: ReleaseTree) -> None:
    name = images.imported(client, base)
    with bases.of_engine(client, name) as saved:
        assert [layer.sha256 for layer in saved.layers] == [layer.sha256 for layer in base.layers]
        assert saved.digest == client.images.get(name).id
    missing = bases.of_engine(client, "no/such:image")
    with pytest.raises(bases.BaseError, match="BASE=no/such:image"), missing:
        pass


def test_a_base_without_the_contracts_python_is_refused(client: Any, made: Image, base: Base) -> None:
    other = CONTRACT.model_copy(update={"project": CONTRACT.project.model_copy(update={"name": "other"})})
    with pytest.raises(trial.TryError, match="does not start"):
        trial._imported(client, made.reference, other, base)


def test_the_dockerfile_gives_the_same_file_system_and_the_same_settings(
    client: Any, made: Image, base: Base, release: ReleaseTree, files: dict[str, tuple[Any, ...]]
) -> None:
    arguments = configs.arguments(CONTRACT, release.manifest, base) | {"BASE": images.imported(client, base)}
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name in ("Dockerfile", ".dockerignore", "packaging/image", "deploy/artifacts/image/layers.py"):
            tar.add(ROOT / name, name)
        tar.add(release.path, arguments["RELEASE"])
    context.seek(0)
    built, _ = client.images.build(
        fileobj=context, custom_context=True, buildargs=arguments, network_mode="none", rm=True, forcerm=True
    )
    try:
        by_dockerfile = files_of(client, built.id)
        differ = {p for p in files.keys() | by_dockerfile.keys() if files.get(p) != by_dockerfile.get(p)}
        assert not {p: (files.get(p), by_dockerfile.get(p)) for p in sorted(differ)[:10]}
        one, two = (client.images.get(name).attrs["Config"] for name in (made.reference, built.id))
        labels = [{n: v for n, v in config["Labels"].items() if v and ".base." not in n} for config in (one, two)]
        assert labels[0] == labels[1]
        for key in ("User", "Entrypoint", "Cmd", "WorkingDir", "StopSignal", "ExposedPorts", "Healthcheck"):
            assert one[key] == two[key], key
        assert sorted(one["Env"]) == sorted(two["Env"])
    finally:
        client.images.remove(built.id, force=True)
