"""The archive of an image: the same bytes for the same commit, and what one changed line costs. No engine needed."""

import dataclasses
import hashlib
import json
import os
import re
import tarfile
from pathlib import Path

import pytest
from jinja2 import Template

from deploy import contract
from deploy.artifacts import ReleaseTree, build_release, image
from deploy.artifacts.cache import Cache
from deploy.artifacts.image import Image, archive, engine, trial
from deploy.artifacts.image import __main__ as program
from deploy.artifacts.image import base as bases
from deploy.artifacts.image import config as configs
from deploy.artifacts.image.base import Base, BaseError, Layer
from deploy.artifacts.image.layers import Entry
from deploy.artifacts.source.beside import OURS, SLIPWAY
from deploy.image_stream import Archive
from tests.support import releases
from tests.support.sample import Sample

ROOT = releases.ROOT
CONTRACT = contract.read(ROOT)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base of one small file: these tests look at what lies above it."""
    path = tmp_path_factory.mktemp("base") / "rootfs.tar"
    layer = archive.write_layer([Entry("etc"), Entry("etc/issue", 0o644, data=b"small\n")], path)
    return Base("small", f"sha256:{layer.sha256}", (layer,), {"Env": ["PATH=/bin", "TZ=UTC"], "Labels": {"who": "us"}})


@pytest.fixture(scope="module")
def release() -> ReleaseTree:
    return releases.base()


@pytest.fixture(scope="module")
def made(release: ReleaseTree, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return image.build_image(ROOT, None, tmp_path_factory.mktemp("dist"), base, CONTRACT, release)


def member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file
        return file.read()


def test_the_same_release_gives_the_same_bytes(made: Image, base: Base, release: ReleaseTree, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = image.build_image(ROOT, None, tmp_path / "else where", base, CONTRACT, release)
    finally:
        os.umask(before)
    assert again.identity == made.identity
    assert again.layers == made.layers
    assert again.path.read_bytes() == made.path.read_bytes()
    assert again.path.name == f"gazetteer-{release.version}.image.tar"


def test_what_is_there_is_not_built_again(base: Base, release: ReleaseTree, tmp_path: Path) -> None:
    first, second = (image.build_image(ROOT, None, tmp_path, base, CONTRACT, release) for _ in range(2))
    assert (first.built, second.built) == (True, False)
    assert second.identity == first.identity
    other = dataclasses.replace(base, digest="sha256:" + "0" * 64)
    third = image.build_image(ROOT, None, tmp_path, other, CONTRACT, release)
    assert third.built, "another base makes another image"


def test_an_entrypoint_that_nobody_committed_shows_in_tag_and_label(
    sample: Sample, cache: Cache, base: Base, tmp_path: Path
) -> None:
    """The release is the same, and the image is not."""
    for path in OURS.templates.rglob("*.*"):
        if path.suffix in (".in", ".py"):
            sample.write(path.relative_to(SLIPWAY).as_posix(), path.read_text())
    sample.commit()
    sample.git("tag", "v1.0")
    given = contract.read(sample.root)
    tree = build_release(sample.root, None, tmp_path, cache)
    clean = image.build_image(sample.root, None, tmp_path, base, given, tree)
    assert (clean.reference, Archive(clean.path).label("slipway.dirty")) == ("sample-shop:1.0", "")
    sample.edit("packaging/image/healthcheck.py", '"""', '"""By hand. ')
    dirty = image.build_image(
        sample.root, None, tmp_path, base, given, build_release(sample.root, None, tmp_path, cache)
    )
    assert (dirty.version, dirty.built) == ("1.0", True)
    mark = Archive(dirty.path).label("slipway.dirty")
    assert re.fullmatch(r"dirty\.[0-9a-f]{8}", mark)
    assert dirty.reference == f"sample-shop:1.0-{mark}"
    assert Archive(dirty.path).label("slipway.release.digest") == tree.digest


def test_a_changed_line_costs_the_apps_layer_and_no_other(made: Image, base: Base, tmp_path: Path) -> None:
    changed = (ROOT / "app/__main__.py").read_text() + "\nLATER = True\n"
    later = image.build_image(
        ROOT, None, tmp_path, base, CONTRACT, releases.variant("later", {"app/__main__.py": changed})
    )
    assert later.layers[:-1] == made.layers[:-1]
    assert later.layers[-1][0] != made.layers[-1][0]
    assert 10 * later.sizes()["app"] < later.sizes()["dependencies"]


def test_the_archive_is_sound_for_docker_and_as_an_oci_layout(made: Image, release: ReleaseTree) -> None:
    with tarfile.open(made.path) as tar:
        blobs = [entry for entry in tar if entry.name.startswith("blobs/sha256/")]
        for blob in blobs:
            file = tar.extractfile(blob)
            assert file
            assert hashlib.file_digest(file, "sha256").hexdigest() == Path(blob.name).name
    docker = json.loads(member(made.path, "manifest.json"))[0]
    assert docker["RepoTags"] == [f"gazetteer:{release.version.replace('+', '-')}"]
    index = json.loads(member(made.path, "index.json"))
    manifest = json.loads(member(made.path, f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"))
    assert [f"blobs/sha256/{layer['digest'][7:]}" for layer in manifest["layers"]] == docker["Layers"]
    config = json.loads(member(made.path, docker["Config"]))
    assert [f"blobs/sha256/{diff[7:]}" for diff in config["rootfs"]["diff_ids"]] == docker["Layers"]
    assert len([entry for entry in config["history"] if not entry.get("empty_layer")]) == len(docker["Layers"])
    assert json.loads(member(made.path, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}


def test_the_labels_come_from_the_project_and_the_commit(base: Base, release: ReleaseTree) -> None:
    project = CONTRACT.project.model_copy(
        update={"urls": {"Homepage": "https://a.example", "Source": "https://b.example"}}
    )
    labels = configs.labels(project, release.manifest, base)
    said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert said == {
        "title": "gazetteer",
        "description": project.description,
        "version": release.version,
        "revision": release.manifest.data["commit"],
        "created": configs.created(release.manifest.data),
        "licenses": "MIT",
        "source": "https://b.example",
        "base.name": "small",
        "base.digest": base.digest,
        "slipway.release.digest": release.digest,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["created"])


def test_what_the_base_says_is_kept_and_the_release_comes_first(base: Base, release: ReleaseTree) -> None:
    settings = configs.settings(CONTRACT, release.manifest, base)
    environ = dict(line.split("=", 1) for line in settings["Env"])
    assert environ["TZ"] == "UTC"
    assert environ["PATH"] == f"/opt/gazetteer/releases/{release.version}/bin:/bin"
    assert settings["Labels"]["who"] == "us"
    assert settings["StopSignal"] == "SIGTERM"


def test_an_archive_of_a_base_is_read_as_it_was_written(made: Image, tmp_path: Path) -> None:
    """`docker save` of an engine since 25 looks like ours; older ones differ in names only."""
    base = bases.unpacked(made.path, tmp_path, "again")
    assert base.digest == made.identity
    assert [layer.sha256 for layer in base.layers] == [sha256 for sha256, _ in made.layers]
    assert base.config["User"] == "10001:10001"


def test_an_image_that_does_not_start_is_not_left_behind(
    made: Image, base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = dataclasses.replace(made, path=tmp_path / "copy.tar")
    copy.path.touch()

    def fails(*_: object) -> str:
        raise trial.TryError("no")

    monkeypatch.setattr(trial, "try_out", fails)
    with pytest.raises(trial.TryError):
        program._tried(copy, CONTRACT, base)
    assert not copy.path.exists()


def test_the_base_has_what_the_contract_names_of_the_system() -> None:
    assert bases.packages("3.11", ("libpq5", "libmagic1")) == (*bases.packages("3.11"), "libmagic1", "libpq5")
    command = bases._command("bookworm", "3.11", Path("rootfs.tar"), ("libmagic1",))
    assert next(word for word in command if word.startswith("--include=")).endswith(",libmagic1")


def test_a_python_that_debian_does_not_have_is_said_with_the_way_out(cache: Cache) -> None:
    with pytest.raises(BaseError, match=r"no Debian release has Python 3\.12") as caught:
        bases.made("3.12", cache)
    assert "BASE=" in str(caught.value.hint)


def test_a_missing_mmdebstrap_is_said_with_its_package(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BaseError, match="mmdebstrap is missing") as caught:
        bases.made("3.11", cache)
    assert "apt-get install mmdebstrap" in str(caught.value.hint)


def test_a_mistake_is_no_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert program.main(["--source", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("slipway: ")


def test_without_root_it_is_said_why_no_engine_was_tried(
    made: Image, base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = trial.try_out(made.path, made.reference, CONTRACT, base)
    assert said == "not tried: no Docker engine answers, and starting one needs root"
    with pytest.raises(engine.EngineError, match="needs root"), engine.running():
        pass


def test_layers_of_an_engine_must_be_those_of_the_image(made: Image, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar"
    config = json.loads(member(made.path, f"blobs/sha256/{made.identity[7:]}"))
    layer = archive.write_layer([Entry("etc")], tmp_path / "layer.tar")
    archive.write(broken, "a:b", config, (Layer(layer.path, layer.sha256),), "")
    with pytest.raises(BaseError, match="not those of the image"):
        bases.unpacked(broken, tmp_path, "a:b")


def test_haproxy_of_compose_keeps_the_rules_of_the_fleet() -> None:
    """Each rule of the template is in the file, but for the one that compose has no use for."""
    template = Template((ROOT / "salt/haproxy/files/haproxy.cfg.jinja").read_text())
    rendered = template.render(
        name="gazetteer",
        listen=":8080",
        servers=[{"name": name, "address": f"{name}:8000"} for name in ("web1", "web2")],
        health=CONTRACT.health.model_dump(),
        sockets="/run",
        user="",
        slots=CONTRACT.server.slots,
        max_request=CONTRACT.server.timeout,
    )
    lines = [line for line in rendered.splitlines() if line.strip() and not line.strip().startswith("#")]
    rules = lines[lines.index("defaults") :]  # what comes before is about sockets and state that compose has not
    has = (ROOT / "packaging/image/haproxy.cfg").read_text().splitlines()
    assert [line.strip() for line in rules if line not in has] == ["load-server-state-from-file global"]
    assert next(line for line in lines if "hard-stop-after" in line) in has
