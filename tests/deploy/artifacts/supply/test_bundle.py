"""`make artifacts`: everything of one version, listed, traced to its source and signed; also without a network."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from deploy.artifacts import signing
from deploy.artifacts.built import find_release
from deploy.artifacts.cache import Cache
from deploy.artifacts.signing import SigningError
from deploy.artifacts.supply import bundle
from deploy.artifacts.supply.__main__ import main
from deploy.artifacts.supply.builders import BUILDERS, Builder
from deploy.artifacts.supply.bundle import Bundle, BundleError
from tests.support.sample import Sample

WITHOUT = ("rpm", "image")  # their own tests build them


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIPWAY_KEY", raising=False)
    monkeypatch.delenv("SLIPWAY_BUILDER", raising=False)
    return tmp_path / "home"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def build(sample: Sample, cache: Cache, out: Path, **options: Any) -> Bundle:
    return bundle.build(sample.root, None, out, without=WITHOUT, cache=cache, **options)


def statement(made: Bundle) -> dict[str, Any]:
    return dict(json.loads(next(p for p in made.files if p.name.endswith(".provenance.json")).read_text()))


@pytest.mark.usefixtures("home")
def test_everything_of_a_version_is_listed(sample: Sample, cache: Cache, out: Path) -> None:
    made = build(sample, cache, out)
    start = f"sample-shop-{made.release.version}"
    assert {path.name for path in made.files} == {
        f"sample_shop-{made.release.version}-py3-none-any.whl",
        f"{start}.release.tar.zst",
        f"{start}.cdx.json",
        f"{start}.provenance.json",
        "releasectl",
        "SHA256SUMS",
    }
    assert made.left_out == {"rpm": "as asked", "image": "as asked"}
    assert made.signed_by is None
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    names = [line.split()[1] for line in (out / "SHA256SUMS").read_text().splitlines()]
    assert names == sorted(path.name for path in made.files if path.name != "SHA256SUMS")


@pytest.mark.usefixtures("home")
def test_the_same_bytes_again(sample: Sample, cache: Cache, out: Path, tmp_path: Path) -> None:
    first = build(sample, cache, out)
    before = os.umask(0o077)
    try:
        second = build(sample, Cache(tmp_path / "cold"), tmp_path / "again")
    finally:
        os.umask(before)
    for one, two in zip(first.files, second.files, strict=True):
        assert (one.name, one.read_bytes(), one.stat().st_mode) == (two.name, two.read_bytes(), two.stat().st_mode)


@pytest.mark.usefixtures("home")
def test_the_archive_is_the_release(sample: Sample, cache: Cache, out: Path, tmp_path: Path) -> None:
    """Unpacked by tar, it can be deployed."""
    made = build(sample, cache, out)
    path = next(path for path in made.files if path.name.endswith(".tar.zst"))
    with (
        path.open("rb") as file,
        tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(file), mode="r|") as tar,
    ):
        assert {(member.uid, member.gid, member.mtime) for member in tar} == {(0, 0, 315532800)}
    (tmp_path / "elsewhere").mkdir()
    if shutil.which("zstd"):
        subprocess.run(["tar", "--zstd", "-xf", path], cwd=tmp_path / "elsewhere", check=True)
        assert find_release(tmp_path / "elsewhere", made.release.version).digest == made.release.digest


@pytest.mark.usefixtures("home")
def test_provenance_names_what_was_made_and_of_what(sample: Sample, cache: Cache, out: Path) -> None:
    made = build(sample, cache, out)
    said = statement(made)
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    subjects = {each["name"]: each["digest"]["sha256"] for each in said["subject"]}
    start = f"sample-shop-{made.release.version}"
    assert subjects.pop(f"{start}/manifest.json") == made.release.digest
    assert subjects == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in made.files
        if path.name not in ("SHA256SUMS", f"{start}.provenance.json")
    }
    definition = said["predicate"]["buildDefinition"]
    source, pebble = definition["resolvedDependencies"]
    assert source == {"name": "source", "digest": {"gitCommit": sample.git("rev-parse", "HEAD")}}
    assert (pebble["name"], pebble["uri"]) == ("pebble-1.2-py3-none-any.whl", "pkg:pypi/pebble@1.2")
    assert pebble["digest"]["sha256"] in (sample.root / "locks/shop.txt").read_text()
    assert definition["externalParameters"]["version"] == made.release.version
    assert definition["internalParameters"]["tools"]["setuptools"]
    reference = (Path(__file__).parents[4] / "docs/reference/supply-chain.md").read_text()
    assert definition["buildType"] in reference
    assert said["predicate"]["runDetails"]["builder"]["id"] in reference


@pytest.mark.usefixtures("home")
def test_what_is_not_committed_is_traced_to_its_tree(
    sample: Sample, cache: Cache, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.write("shop/prices.txt", "pear 4\n")
    monkeypatch.setenv("SLIPWAY_BUILDER", "https://ci.example.org/runner")
    said = statement(build(sample, cache, out))["predicate"]
    source = said["buildDefinition"]["resolvedDependencies"][0]
    assert list(source["digest"]) == ["gitTree"]
    assert said["buildDefinition"]["externalParameters"]["source"]["dirty"] is True
    assert said["runDetails"]["builder"]["id"] == "https://ci.example.org/runner"


@pytest.mark.usefixtures("home")
def test_with_a_key_everything_that_vouches_is_signed(sample: Sample, cache: Cache, out: Path) -> None:
    signing.make_key("sample-shop", sample.root, "ada@example.org")
    made = build(sample, cache, out)
    assert made.signed_by
    assert made.signed_by.startswith("signed by ada@example.org")
    allowed = sample.root / signing.ALLOWED
    signed = [
        made.release.path / "manifest.json",
        out / "SHA256SUMS",
        out / f"{made.release.path.name}.provenance.json",
    ]
    for path in signed:
        assert signing.verify(path, allowed).by == "ada@example.org"
    again = build(sample, cache, out)
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in made.files]
    assert find_release(out, made.release.version).signature == made.release.signature
    for path in signed:
        path.with_name(f"{path.name}.sig").unlink()
    assert [path.name for path in bundle.sign(sample.root, None, out)[0]] == [
        "manifest.json.sig",
        f"{made.release.path.name}.provenance.json.sig",
        "SHA256SUMS.sig",
    ]
    assert signing.verify(signed[0], allowed)


def test_a_key_that_no_server_knows_signs_nothing(sample: Sample, cache: Cache, out: Path, home: Path) -> None:
    key, _ = signing.make_key("sample-shop", sample.root, "ada@example.org")
    key.rename(home / "old")
    key.with_suffix(".pub").rename(home / "old.pub")
    (sample.root / signing.ALLOWED).write_text("# nobody\n")
    (home / "old").rename(key)
    (home / "old.pub").rename(key.with_suffix(".pub"))
    with pytest.raises(SigningError, match="this key is not in packaging/keys/allowed_signers") as error:
        build(sample, cache, out)
    assert "ssh-ed25519" in (error.value.hint or "")
    assert not list(out.rglob("*.sig"))


@pytest.mark.usefixtures("home")
def test_a_key_that_was_named_has_to_be_there(
    sample: Sample, cache: Cache, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_KEY", "/nowhere/key")
    with pytest.raises(SigningError, match="/nowhere/key: there is no key to sign with"):
        build(sample, cache, out)


@pytest.mark.usefixtures("home")
def test_what_cannot_be_made_is_left_out_and_said(
    sample: Sample, cache: Cache, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Builder("barrel", lambda _: [], lambda: "cooper is missing (apt-get install cooper)")
    monkeypatch.setattr(bundle, "BUILDERS", (*BUILDERS, broken))
    assert build(sample, cache, out).left_out["barrel"] == "cooper is missing (apt-get install cooper)"
    with pytest.raises(BundleError, match="tarball: expected what can be left out: archive, agent, sbom, rpm, image"):
        bundle.build(sample.root, None, out, without=["tarball"], cache=cache)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can take the network away")
def test_needs_no_network_once_the_cache_is_warm(
    sample: Sample, out: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a network namespace that has no route, and with an index that can't be reached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(sample.root)
    assert main(["artifacts", "--out", str(out), "--without", "rpm,image"]) == 0
    shutil.rmtree(sample.wheels)
    shutil.rmtree(out)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ |= {"PYTHONPATH": str(Path(__file__).parents[4]), "PIP_INDEX_URL": "http://192.0.2.1/simple"}
    command = [sys.executable, "-m", "deploy.artifacts.supply", "artifacts", "--out", str(out), "--json"]
    done = subprocess.run(
        ["unshare", "-n", *command, "--without", "rpm,image"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["files"]) == 6


def test_the_commands_say_what_they_did(
    sample: Sample, home: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.chdir(sample.root)
    common = ["--out", str(out)]
    assert main(["sign", *common]) == 2
    assert "no release tree for" in capsys.readouterr().err
    assert main(["artifacts", *common, "--without", "rpm, image"]) == 0
    assert "not signed: there is no key (make key)" in capsys.readouterr().out
    assert main(["key", "--who", "ada@example.org"]) == 0
    assert "-> git add packaging/keys/allowed_signers" in capsys.readouterr().out
    assert main(["key"]) == 2
    assert "there is a key already" in capsys.readouterr().err
    assert main(["sign", *common]) == 0
    assert capsys.readouterr().out.startswith("signed by ada@example.org")
