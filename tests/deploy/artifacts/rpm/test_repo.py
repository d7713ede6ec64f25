"""A signed repository is what dnf, told to check everything, installs from; and nothing else is."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.rpm import openpgp, repo, tools
from deploy.artifacts.rpm.openpgp import Signer
from deploy.artifacts.signing import SigningError
from tests.deploy.agent import kit
from tests.support import rpms
from tests.support.rpms import Root

NAME = "shop"
EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rpms.need_tools()
    root = tmp_path_factory.mktemp("project") / "shop"
    root.mkdir()
    rpms.signing_key(root)
    return root


@pytest.fixture(scope="module")
def signer(project: Path) -> Iterator[Signer]:
    with openpgp.opened(Path(f"{project}.key"), project) as made:
        yield made


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rpms.need_tools()
    return rpms.make_system(tmp_path_factory.mktemp("system"))


@pytest.fixture
def root(system: Path, tmp_path: Path) -> Root:
    return rpms.make_root(tmp_path, system)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rpms.make_package(tmp_path_factory.mktemp("pebble"), "pebble", EPOCH)


@pytest.fixture
def out(package: Path, tmp_path: Path) -> Path:
    """A folder as `dist/`, with one package."""
    (tmp_path / "dist").mkdir()
    shutil.copy2(package, tmp_path / "dist")
    return tmp_path / "dist"


def test_what_is_signed_is_installed(root: Root, out: Path, signer: Signer, cache: Cache) -> None:
    made = repo.build_repo(out, NAME, signer, cache)
    root.dnf(made.path, "install", "pebble")
    assert root.installed() == {"pebble"}
    said = root.rpm("-q", "--qf", "%{RSAHEADER:pgpsig}", "pebble").out.lower()
    assert said.startswith("rsa/sha256")
    assert signer.fingerprint[-16:].lower() in said
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", repo.SUMS], cwd=made.path, check=True)


def test_those_in_dist_stay_as_they_were_built(out: Path, package: Path, signer: Signer, cache: Cache) -> None:
    made = repo.build_repo(out, NAME, signer, cache)
    assert digest(out / package.name) == digest(package)
    asked = ["rpm", "-qp", "--qf", "%{SIGMD5} %{SHA256HEADER} %{PAYLOADDIGEST}", "--nosignature"]
    one, two = (
        subprocess.run([*asked, path], capture_output=True, check=True).stdout
        for path in (package, made.path / package.name)
    )
    assert one == two


def test_the_same_key_and_packages_give_the_same_bytes(out: Path, project: Path, tmp_path: Path) -> None:
    """Another day, with nothing cached: dnf's cache and a mirror need not fetch again what did not change."""
    sums = []
    for day in ("first", "second"):
        with openpgp.opened(Path(f"{project}.key"), project) as signer:
            made = repo.build_repo(out, NAME, signer, Cache(tmp_path / day))
        sums.append((made.path / repo.SUMS).read_text())
        shutil.rmtree(made.path)
    assert sums[0] == sums[1]
    assert f"{repo.PUBLIC}{NAME}\n" in sums[0]
    assert "repodata/repomd.xml.asc\n" in sums[0]


def test_a_second_run_has_nothing_to_do_and_mends_what_was_changed(out: Path, signer: Signer, cache: Cache) -> None:
    first = repo.build_repo(out, NAME, signer, cache)
    assert first.built
    assert not repo.build_repo(out, NAME, signer, cache).built
    (first.path / "repodata/repomd.xml.asc").write_text("no signature")
    assert repo.build_repo(out, NAME, signer, cache).built
    assert repo.build_repo(out).built, "it was signed, and is not to be"
    assert not (first.path / "repodata/repomd.xml.asc").exists()


def altered_list(made: Path, _: Signer) -> None:
    file = made / "repodata/repomd.xml"
    file.write_text(file.read_text().replace("<revision>", "<revision>1"))


def altered_package(made: Path, signer: Signer) -> None:
    """By somebody who may write the list, and has it signed."""
    path = next(made.glob("*.rpm"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    listed_anew(made, signer)


def unsigned_package(made: Path, signer: Signer) -> None:
    path = next(made.glob("*.rpm"))
    subprocess.run(["rpmsign", "--delsign", path], check=True, capture_output=True)
    listed_anew(made, signer)


def unsigned_list(made: Path, _: Signer) -> None:
    (made / "repodata/repomd.xml.asc").unlink()


def listed_anew(made: Path, signer: Signer) -> None:
    shutil.rmtree(made / "repodata")
    tools.run(["createrepo_c", "--quiet", made], made)
    signer.sign_file(made / "repodata/repomd.xml", EPOCH)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (altered_list, "repomd.xml GPG signature verification error: Bad GPG signature"),
        (unsigned_list, "repomd.xml.asc"),
        (altered_package, "GPG check FAILED"),
        (unsigned_package, "is not signed"),
    ],
)
def test_what_is_not_signed_or_was_altered_is_refused(
    root: Root, out: Path, signer: Signer, cache: Cache, harm: Callable[[Path, Signer], None], said: str
) -> None:
    made = repo.build_repo(out, NAME, signer, cache)
    harm(made.path, signer)
    refused = root.dnf(made.path, "install", "pebble", expect=1)
    assert said in refused.out
    assert root.installed() == set()


def test_another_key_is_refused(root: Root, out: Path, signer: Signer, cache: Cache, tmp_path: Path) -> None:
    """Of somebody who can write the folder, and has put a key of their own beside it; the server has the right one."""
    (tmp_path / "other").mkdir()
    rpms.signing_key(tmp_path / "other")
    with openpgp.opened(tmp_path / "other.key", tmp_path / "other") as other:
        made = repo.build_repo(out, NAME, other, cache)
    (tmp_path / "right").write_text(signer.public)
    assert "signature" in root.dnf(made.path, "install", "pebble", expect=1, key=tmp_path / "right").out
    assert root.installed() == set()


def test_a_key_stays_with_its_user_and_only_its_public_half_enters_the_repository(project: Path) -> None:
    key = Path(f"{project}.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE KEY BLOCK" in key.read_text()
    assert [path for path in project.rglob("*") if path.is_file()] == [project / openpgp.PUBLIC]
    assert "PRIVATE" not in (project / openpgp.PUBLIC).read_text()


def test_nothing_of_gpg_stays(project: Path) -> None:
    with openpgp.opened(Path(f"{project}.key"), project) as signer:
        assert stat.S_IMODE(signer.home.stat().st_mode) == 0o700
        (project.parent / "text").write_text("words")
        signer.sign_file(project.parent / "text", EPOCH)
    assert not signer.home.exists()
    kit.eventually(
        lambda: not any(signer.home.name in words(path) for path in Path("/proc").glob("[0-9]*/cmdline")), 30
    )


def words(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_key_is_never_overwritten_nor_made_inside_the_repository(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(openpgp.VARIABLE, f"{project}.key")
    with pytest.raises(SigningError, match="there is a key already") as caught:
        openpgp.make_key(NAME, project, "ada@example.org")
    assert caught.value.hint
    assert "make repo-key" in caught.value.hint
    monkeypatch.setenv(openpgp.VARIABLE, str(project / "key"))
    with pytest.raises(SigningError, match="inside the repository"):
        openpgp.make_key(NAME, project, "ada@example.org")


def test_a_key_that_nobody_listed_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    rpms.signing_key(tmp_path / "other")
    with (
        pytest.raises(SigningError, match=r"not in packaging/keys/repository\.asc: no server") as caught,
        openpgp.opened(tmp_path / "other.key", project),
    ):
        pass
    assert "gpg --show-keys" in str(caught.value.hint)


def test_says_what_is_missing_or_wrong(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"

    def refused() -> SigningError:
        with pytest.raises(SigningError) as caught, openpgp.opened(key, project):
            pass
        return caught.value

    assert refused().hint == "make repo-key, or SLIPWAY_REPO_KEY=FILE make repo"
    key.write_text("not a key\n")
    key.chmod(0o640)
    assert refused().hint == f"chmod 600 {key}"
    key.chmod(0o600)
    assert refused().message.startswith("gpg --import failed: gpg: ")
    key.write_bytes((project / openpgp.PUBLIC).read_bytes())
    assert refused().message == "expected a file with one secret key, got 0"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(tools.RpmError, match="gpg is missing") as caught, openpgp.opened(key, project):
        pass
    assert "apt-get install gpg gpg-agent" in str(caught.value.hint)


def test_a_key_that_was_named_has_to_be_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openpgp.VARIABLE, "/nowhere/key")
    with pytest.raises(SigningError, match="there is no key"), openpgp.found(NAME, project, unsigned=False):
        pass
    with openpgp.found(NAME, project, unsigned=True) as signer:
        assert signer is None
    monkeypatch.delenv(openpgp.VARIABLE)
    monkeypatch.setenv("HOME", "/nowhere")
    with openpgp.found(NAME, project, unsigned=False) as signer:
        assert signer is None
