"""Keys are made once, and what is signed can be checked by anybody who has ssh-keygen."""

import stat
import subprocess
from pathlib import Path

import pytest

from deploy.artifacts import signing
from deploy.artifacts.signing import SigningError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, and a home to keep keys in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIPWAY_KEY", raising=False)
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def text(root: Path) -> Path:
    path = root / "manifest.json"
    path.write_text("{}\n")
    return path


def test_a_key_stays_with_its_user_and_only_its_public_half_enters_the_repository(root: Path) -> None:
    key, who = signing.make_key("shop", root, "ada@example.org")
    assert key == Path.home() / ".config/slipway/shop_ed25519"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert who == "ada@example.org"
    (line,) = (root / signing.ALLOWED).read_text().splitlines()
    assert line.startswith('ada@example.org namespaces="slipway-release" ssh-ed25519 AAAA')
    assert [path for path in root.rglob("*") if path.is_file()] == [root / signing.ALLOWED]


def test_a_key_is_never_overwritten(root: Path) -> None:
    key, _ = signing.make_key("shop", root, "ada@example.org")
    before = key.read_bytes()
    with pytest.raises(SigningError, match="there is a key already"):
        signing.make_key("shop", root, "ada@example.org")
    assert key.read_bytes() == before


def test_a_second_key_is_added(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signing.make_key("shop", root, "ada@example.org")
    monkeypatch.setenv("SLIPWAY_KEY", str(tmp_path / "elsewhere/ci"))
    signing.make_key("shop", root, "ci")
    assert [line.split()[0] for line in (root / signing.ALLOWED).read_text().splitlines()] == ["ada@example.org", "ci"]


def test_a_private_key_never_lies_in_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_KEY", str(root / "packaging/keys/key"))
    with pytest.raises(SigningError, match="inside the repository"):
        signing.make_key("shop", root, "ada@example.org")
    with pytest.raises(SigningError, match="can't name a signer"):
        signing.make_key("shop", root, "ada lovelace")


def test_anybody_can_check(root: Path) -> None:
    key, _ = signing.make_key("shop", root, "ada@example.org")
    path, allowed = text(root), root / signing.ALLOWED
    made = signing.sign(path, key)
    first = made.read_bytes()
    assert signing.sign(path, key).read_bytes() == first  # the same bytes, whenever it is signed
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        allowed,
        "-I",
        "ada@example.org",
        "-n",
        "slipway-release",
        "-s",
        made,
    ]
    with path.open("rb") as file:
        assert subprocess.run(command, stdin=file, capture_output=True, check=False).returncode == 0
    assert str(signing.verify(path, allowed)).startswith("signed by ada@example.org (ED25519 key SHA256:")
    path.write_text("{ }\n")
    with path.open("rb") as file:
        assert subprocess.run(command, stdin=file, capture_output=True, check=False).returncode != 0
    with pytest.raises(SigningError, match="is not good"):
        signing.verify(path, allowed)


def test_says_what_is_missing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text(root)
    with pytest.raises(SigningError, match="there is no key to sign with") as error:
        signing.sign(path, signing.key_of("shop"))
    assert error.value.hint == "make key, or SLIPWAY_KEY=FILE make sign"
    with pytest.raises(SigningError, match="has no signature"):
        signing.verify(path, root / signing.ALLOWED)
    key, _ = signing.make_key("shop", root, "ada@example.org")
    key.chmod(0o640)
    with pytest.raises(SigningError, match="others can read this key") as error:
        signing.sign(path, key)
    assert error.value.hint == f"chmod 600 {key}"
    key.chmod(0o600)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match="ssh-keygen is missing") as error:
        signing.sign(path, key)
    assert error.value.hint == "apt-get install openssh-client"


def test_a_broken_key_is_no_traceback(root: Path) -> None:
    path, key = text(root), root / "key"
    key.write_text("not a key\n")
    key.chmod(0o600)
    with pytest.raises(SigningError, match="ssh-keygen: "):
        signing.sign(path, key)
