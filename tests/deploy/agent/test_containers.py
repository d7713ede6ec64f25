"""Generations of images on a real engine: the same sockets, variables and secrets as processes, the same switches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts import ReleaseTree
from deploy.artifacts.image import engine
from deploy.facts import Lack
from deploy.staging import find_image
from tests.deploy.agent import kit
from tests.deploy.agent.kit import AgentFailure, Caller, eventually, outcome
from tests.support import images
from tests.support.machine import load
from tests.support.signing import signer
from tests.support.staging import Operator

pytestmark = pytest.mark.skipif(engine.problem() is not None, reason=str(engine.problem()))


@dataclass
class Site:
    """A server without systemd, whose releases are images, and the operator's side of it."""

    agent: Caller
    operator: Operator
    client: Any
    port: int

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"

    def bring(self, release: ReleaseTree, artifact: str = "image") -> tuple[Lack, str]:
        return self.operator.bring(release, artifact)

    def prepare(self, number: int, release: ReleaseTree, **variables: str) -> None:
        self.operator.prepare(number, release, **variables)

    def activate(self, number: int) -> dict[str, Any]:
        return self.agent("activate", generation=number, deadline=20, listen=self.listen)

    def containers(self) -> list[Any]:
        """List this server's containers: other tests have theirs."""
        state = str(self.agent.root / "state")
        return [c for c in self.client.containers.list(all=True) if state in json.dumps(c.attrs["HostConfig"])]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """An engine of this module's own: what it has is counted here.

    Not below pytest's folders: one that is killed leaves a mount behind, and pytest could not remove those.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="slipway-engine-") as folder,
            pytest.MonkeyPatch.context() as monkeypatch,
            engine.running(Path(folder)) as client,
        ):
            monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/{engine.SOCKET}")
            yield client
    except engine.EngineError as error:
        if "could not be started" not in str(error):
            raise
        pytest.skip(f"{error}: {'; '.join(error.problems)}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReleaseTree]:
    """Three versions, each as a tree and as an image."""
    app = kit.real(tmp_path_factory.mktemp("app"))
    out = tmp_path_factory.mktemp("dist")
    versions = (replace(app, version=version, changes={"name": "sample"}) for version in ("1.0", "2.0", "3.0"))
    return {release.version: images.of_release(release, out) for release in versions}


@pytest.fixture
def site(client: Any, agent: Caller, tmp_path: Path) -> Site:
    return Site(agent, Operator(tmp_path, agent, agent.argv), client, kit.free_port())


def test_a_generation_in_a_container_is_what_it_is_without(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """From layers to serving: variables, secrets, user, directory, workers, log; and nothing to see for the engine."""
    one, _, _ = made.values()
    archive = find_image(one)
    lack, said = site.bring(one)
    assert lack == Lack("image", 3 - (have := 3 - lack.files), archive.size(have), 2 * archive.size(have))
    assert said.endswith(" sent")
    assert site.bring(one) == (Lack("image"), "nothing sent")
    site.prepare(1, one, COLOUR="blue")
    assert site.agent("trial", generation=1, check="ready", deadline=20)["status"] == 200
    assert site.containers() == []
    assert site.agent("migrate", generation=1, command="migrate", timeout=20)["output"] == "migrated 1\n"
    assert site.activate(1)["changed"]
    assert site.activate(1)["changed"] is False

    [process] = site.agent("status")["processes"]
    assert (process["ready"], process["workers"], process["listen"]) == (True, 2, site.listen)
    said = kit.get(site.port, "/environ")[1]
    assert (said["prefix"], said["cwd"]) == ("/opt/sample/releases/1.0", "/var/lib/sample/state")
    assert said["environ"].pop("PATH").startswith("/opt/sample/releases/1.0/bin:")
    said["environ"].pop("SERVER_SOFTWARE", None)
    assert said["environ"] == {
        "COLOUR": "blue", "SECRET_KEY_FILE": "/run/credentials/SECRET_KEY", "HOME": "/var/lib/sample/state",
        "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "RELEASE_VERSION": "1.0",
        "RELEASE_GENERATION": "1",
    }  # fmt: skip
    [container] = site.containers()
    shown = json.dumps(container.attrs)
    assert "sesame" not in shown
    assert "blue" not in shown
    assert container.exec_run(["cat", "/run/credentials/SECRET_KEY"]).output == b"sesame-4711"
    for path, code in (("/opt/x", 1), ("/var/lib/sample/x", 1), ("/var/lib/sample/state/x", 0)):
        assert container.exec_run(["touch", path]).exit_code == code, path
    assert (site.agent.root / "state/x").exists()
    site.agent("logs", lines=50, generation=1)
    assert any("Booting worker" in event["text"] for event in site.agent.events if event["event"] == "line")


def test_switching_between_forms_under_load_loses_nothing(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """Files, an image, another image, back to the first: each generation runs as what its release came as."""
    one, two, three = made.values()
    site.bring(one, artifact="tree")
    site.bring(two)
    lack, said = site.bring(three)
    assert (lack.files, said) == (1, f"1 layer, {lack.bytes / 1000:.1f} kB sent"), "only the app's own layer is new"
    for number, release in enumerate(made.values(), 1):
        site.prepare(number, release)
    site.activate(1)
    clients = load(site.listen, 8)
    for number in (2, 3):
        site.activate(number)
        assert len(site.containers()) == 1
    assert site.agent("rollback", to=None, deadline=20, listen=site.listen)["generation"] == 2
    assert site.agent("rollback", to=None, deadline=20, listen=site.listen)["generation"] == 1
    counted = outcome(clients)
    assert counted["failures"] == []
    assert all(counted[f"generation {number}"] for number in (1, 2, 3))
    assert site.containers() == []

    assert [r.form for r in site.operator.observe().releases] == ["tree", "image", "image"]
    assert [found["problems"] for found in site.agent("verify", version=None)["releases"]] == [[], [], []]
    site.activate(3)
    assert site.agent("prune", keep=1)["releases"] == ["1.0", "2.0"]
    kept = {tag for image in site.client.images.list("sample") for tag in image.tags}
    assert "sample:3.0" in kept
    assert "sample:2.0" not in kept


def test_a_killed_keeper_of_a_container_is_made_up_for(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    """The container serves on, is still known, and is asked to leave by the next switch."""
    one, two, _ = made.values()
    for number, release in ((1, one), (2, two)):
        site.bring(release)
        site.prepare(number, release)
    site.activate(1)
    clients = load(site.listen, 4)
    [process] = site.agent("status")["processes"]
    os.kill(process["pid"], signal.SIGKILL)
    again = eventually(lambda: [p for p in site.agent("status")["processes"] if p["ready"]], 20)
    assert [process["workers"] for process in again] == [2]
    assert site.activate(2)["previous"] == 1
    assert outcome(clients)["failures"] == []
    eventually(lambda: len(site.containers()) == 1, 20)  # the engine removes the other one by itself
    site.agent("stop", generation=None, timeout=None)
    assert site.containers() == []


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8])
def test_a_killed_agent_is_made_up_for_by_the_next(site: Site, made: Mapping[str, ReleaseTree], seconds: float) -> None:
    one, _, _ = made.values()
    site.bring(one)
    site.prepare(1, one)
    request = {"verb": "activate", "generation": 1, "deadline": 20, "listen": site.listen}
    with subprocess.Popen(site.agent.argv("activate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdin is not None
        agent.stdin.write(json.dumps(request).encode() + b"\n")
        agent.stdin.flush()
        time.sleep(seconds)
        agent.kill()
    site.activate(1)
    assert kit.get(site.port)[1]["generation"] == "1"
    assert len(site.containers()) == 1


def test_what_can_not_start_says_why_and_leaves_nothing(site: Site, made: Mapping[str, ReleaseTree]) -> None:
    one, _, _ = made.values()
    site.bring(one)
    site.prepare(1, one)
    site.activate(1)
    site.prepare(2, one, BEHAVIOUR="raise")
    with pytest.raises(AgentFailure) as caught:
        site.activate(2)
    assert caught.value.code == "died"
    assert "this release can't be imported" in caught.value.error["detail"]
    with pytest.raises(AgentFailure) as caught:
        site.agent("run", argv=["-c", "import time; time.sleep(600)"], generation=1, timeout=1)
    assert caught.value.code == "timeout"
    done = site.agent("run", argv=["-c", "import sys; print(sys.stdin.read() == ''); sys.exit(7)"], generation=1)
    assert done == {"returncode": 7}
    assert "".join(event["text"] for event in site.agent.events if event["event"] == "output") == "True\n"
    [container] = site.containers()
    assert container.labels["slipway.key"] == "1"
    assert kit.get(site.port)[1]["generation"] == "1"


def test_only_the_image_of_the_release_is_taken(
    site: Site, made: Mapping[str, ReleaseTree], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed where releases have to be; with every byte of the release in it; of this very manifest."""
    one, two, _ = made.values()

    for release in (one, two):
        site.bring(release)

    def load(release: ReleaseTree, image: ReleaseTree, have: int = 3, **changes: Any) -> dict[str, Any]:
        archive = find_image(image)
        data = b"".join(archive.stream(have)) if have < 3 else b""
        request = {"manifest": release.manifest.text, "image": archive.identity, "length": len(data), **changes}
        return site.agent("load", data, **request)

    def refused(*releases: ReleaseTree, **changes: Any) -> AgentFailure:
        with pytest.raises(AgentFailure) as caught:
            load(*releases, **changes)
        return caught.value

    assert refused(one, two).code == "bad-image"
    tampered = images.tampered(one, tmp_path / "tampered")
    found = refused(one, tampered, have=2)
    assert found.code == "bad-image"
    assert "tiny.py" in found.error["message"]
    assert refused(one, tampered).code == "incomplete", "what was refused does not stay"
    site.client.images.remove(f"sha256:{find_image(one).identity}", force=True)
    assert refused(one, one).code == "incomplete"
    assert site.operator.observe().release("1.0").complete is False  # type: ignore[union-attr]

    ada, identity = signer(tmp_path), f"sha256:{find_image(one).identity}\n".encode()
    (site.agent.root / "allowed_signers").write_text(ada.line)
    signature = ada.sign(one.manifest.text.encode())
    assert refused(one, one).code == "unsigned"
    assert refused(one, one, signature=signature).code == "unsigned", "the manifest says nothing of the base"
    assert refused(one, one, signature=signature, image_signature=signature).code == "bad-signature"
    signatures = {"signature": signature, "image_signature": ada.sign(identity)}
    assert load(one, one, have=2, **signatures)["signed_by"] == ada.who
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    assert refused(one, one, **signatures).code == "no-engine"
