"""The bundle: Salt from locked wheels that runs at any path, with the servers' own interpreter alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploy import contract as contracts
from deploy.artifacts import cache as caches
from deploy.environment import ROOT
from deploy.highstate import bundle
from deploy.highstate.bundle import Bundle, BundleError
from deploy.pillar import as_sls
from tests.support.signing import end_gpg


@pytest.fixture(scope="module")
def made() -> Bundle:
    """Give the bundle that servers get."""
    return bundle.build(contracts.read(ROOT))


@pytest.fixture(scope="module")
def unpacked(made: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack it at a path that nobody foresaw."""
    folder = tmp_path_factory.mktemp("any where")
    with tarfile.open(made.path) as archive:
        archive.extractall(folder)  # noqa: S202  (made by us a moment ago)
    return folder


def salt(unpacked: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of the bundle's programs, with nothing of ours around it."""
    return subprocess.run(
        [unpacked / "bin" / program, *words],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("program", bundle.PROGRAMS)
def test_every_program_runs_at_any_path(made: Bundle, unpacked: Path, program: str) -> None:
    done = salt(unpacked, program, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{program} {made.version}")
    assert not done.stderr


def test_the_same_lock_is_the_same_bundle(made: Bundle) -> None:
    again = bundle.build(contracts.read(ROOT))
    assert (again.key, again.path, again.built) == (made.key, made.path, False)


def test_a_lock_without_salt_is_refused(tmp_path: Path) -> None:
    target = tmp_path / bundle.LOCK
    target.parent.mkdir(parents=True)
    target.write_text((ROOT / bundle.LOCK).read_text().replace("salt==", "pepper=="))
    with pytest.raises(BundleError, match="expected a line for salt"):
        bundle.build(contracts.read(ROOT), tmp_path)


def test_packing_twice_gives_the_same_bytes(made: Bundle, tmp_path: Path) -> None:
    """From the same wheels; Salt's own wheel is built from source once."""
    kept = caches.of_user()
    other = caches.Cache(tmp_path / "cache")
    for kind in kept.root.iterdir():
        if kind.name.startswith(("wheels-", "salt-wheels")):
            (other.root / kind.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(kind, other.root / kind.name, copy_function=shutil.copy)
    again = bundle.build(contracts.read(ROOT), cache=other)
    assert again.built
    assert again.path.read_bytes() == made.path.read_bytes()


def test_a_missing_lock_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as raised:
        bundle.build(contracts.read(ROOT), tmp_path)
    assert raised.value.hint == "make lock"


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "PGP"])
def test_salt_reads_pillar_as_it_is_written(
    unpacked: Path, tmp_path: Path, request: pytest.FixtureRequest, sealed: bool
) -> None:
    """Odd texts arrive as they are; a value that is a PGP message arrives decrypted."""
    odd = "it's \"100%\" {{ 'not' }} a: template\n#- no"
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    request.addfinalizer(lambda: end_gpg([keys]))
    value = seal(keys, odd) if sealed else odd
    (tmp_path / "pillar").mkdir()
    (tmp_path / "pillar" / "top.sls").write_text(as_sls({"base": {"*": ["own"]}}))
    (tmp_path / "pillar" / "own.sls").write_text(as_sls({"slipway": {"odd": value}}))
    state = {"written": {"file.managed": [{"name": str(tmp_path / "out")}, {"contents_pillar": "slipway:odd"}]}}
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "write.sls").write_text(f"#!json\n{json.dumps(state)}")
    settings = {
        "id": "web1",
        "root_dir": str(tmp_path),
        "file_roots": {"base": [str(tmp_path / "states")]},
        "pillar_roots": {"base": [str(tmp_path / "pillar")]},
        "gpg_keydir": str(keys),
        "file_client": "local",
    }
    (tmp_path / "minion").write_text(json.dumps(settings))
    done = salt(unpacked, "salt-call", f"--config-dir={tmp_path}", "--local", "state.apply", "write")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out").read_text() == f"{odd}\n"


def seal(keys: Path, text: str) -> str:
    """Encrypt a text to a new key in this key ring."""
    gpg = ["gpg", "--homedir", str(keys), "--batch", "--quiet", "--trust-model", "always"]
    make = [*gpg, "--passphrase", "", "--quick-generate-key", "salt", "future-default"]
    subprocess.run(make, check=True, capture_output=True)
    words = [*gpg, "--armor", "--recipient", "salt", "--encrypt"]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout
