"""Where signatures are required, nothing unsigned or altered becomes a generation; a second look costs nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import signature
from deploy.agent.layout import Layout
from tests.deploy.agent.kit import AgentFailure, Caller, Release, call, small, tar
from tests.support.signing import Signer, signer

RELEASE = small()


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def eve(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"), "eve@example.org")


@pytest.fixture
def strict(layout: Layout, ada: Signer) -> Layout:
    """A host that wants Ada's signature."""
    layout.allowed_signers.write_text(f"# who may release\n{ada.line}")
    return layout


def assemble(layout: Layout, release: Release, signed: str | None) -> dict[str, Any]:
    payload = tar(release.contents)
    call(layout, "receive", payload, encoding="identity", length=len(payload))
    return call(layout, "assemble", manifest=release.text, signature=signed)


def prepare(layout: Layout, release: Release, number: int = 1) -> None:
    call(layout, "prepare", generation=number, version=release.version, digest=release.digest, variables={})


def refused(code: str, layout: Layout, verb: str, **request: Any) -> AgentFailure:
    with pytest.raises(AgentFailure) as caught:
        call(layout, verb, **request)
    assert caught.value.code == code, caught.value
    return caught.value


def sign(who: Signer, release: Release = RELEASE, **options: str) -> str:
    return who.sign(release.text.encode(), **options)


def test_a_good_signature_is_kept_beside_the_manifest(strict: Layout, ada: Signer) -> None:
    """And says who made it; any ssh-keygen agrees."""
    signed = sign(ada)
    assert assemble(strict, RELEASE, signed)["signed_by"] == "ada@example.org"
    prepare(strict, RELEASE)
    path = strict.release("1.0")
    assert (path / "manifest.json.sig").read_text() == signed
    (found,) = call(strict, "verify", version="1.0")["releases"]
    assert (found["problems"], found["signature"]["state"], found["signature"]["by"]) == ([], "good", ada.who)
    assert found["signature"]["key"].startswith("ED25519 key SHA256:")
    command = ["ssh-keygen", "-Y", "verify", "-f", strict.allowed_signers, "-I", ada.who, "-n", "slipway-release"]
    with (path / "manifest.json").open("rb") as manifest:
        subprocess.run([*command, "-s", path / "manifest.json.sig"], stdin=manifest, check=True, capture_output=True)
    (listed,) = call(strict, "status")["releases"]
    assert (listed["complete"], listed["signature"]) == (True, signature.digest(signed))


def test_nothing_unsigned_gets_in(strict: Layout) -> None:
    """The refusal comes before anything is made, and says who could sign and what to type."""
    error = refused("unsigned", strict, "assemble", manifest=RELEASE.text).error
    assert "ada@example.org" in error["expected"]
    assert "make sign" in error["hint"]
    assert not strict.release("1.0").exists()


@pytest.mark.parametrize("how", ["another key", "another manifest", "another purpose", "garbled", "no signature"])
def test_no_other_signature_counts(strict: Layout, ada: Signer, eve: Signer, how: str) -> None:
    bad = {
        "another key": lambda: sign(eve),
        "another manifest": lambda: sign(ada, small("1.1")),
        "another purpose": lambda: ada.sign(RELEASE.text.encode(), namespace="git"),
        "garbled": lambda: sign(ada).replace("U1NIU0lH", "U1NIU0lI"),
        "no signature": lambda: "good, believe me",
    }[how]()
    refused("bad-signature", strict, "assemble", manifest=RELEASE.text, signature=bad)
    assert not strict.release("1.0").exists()


@pytest.mark.parametrize("verb", ["prepare", "trial", "activate", "rollback"])
@pytest.mark.parametrize("harm", ["signature removed", "signature of another", "key revoked"])
def test_every_step_to_serving_asks_again(strict: Layout, ada: Signer, eve: Signer, verb: str, harm: str) -> None:
    """Also when the release was good before."""
    assemble(strict, RELEASE, sign(ada))
    prepare(strict, RELEASE)
    path = strict.release("1.0") / "manifest.json.sig"
    match harm:
        case "signature removed":
            path.unlink()
        case "signature of another":
            path.chmod(0o644)
            path.write_text(sign(eve))
        case "key revoked":
            strict.allowed_signers.write_text(eve.line)
    requests: dict[str, dict[str, Any]] = {
        "prepare": {"generation": 2, "version": "1.0", "digest": RELEASE.digest, "variables": {}},
        "trial": {"generation": 1},
        "activate": {"generation": 1, "listen": "127.0.0.1:1"},
        "rollback": {"to": 1, "listen": "127.0.0.1:1"},
    }
    refused("unsigned" if harm == "signature removed" else "bad-signature", strict, verb, **requests[verb])


def test_a_second_look_starts_no_process(strict: Layout, ada: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble(strict, RELEASE, sign(ada))
    monkeypatch.setattr(signature, "PROGRAM", "no-such-program")
    prepare(strict, RELEASE)
    assert assemble(strict, RELEASE, None)["repaired"] == 0


def test_a_key_with_an_end_is_asked_for_each_time(strict: Layout, ada: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    strict.allowed_signers.write_text(
        ada.line.replace('"slipway-release"', '"slipway-release",valid-before="20991231"')
    )
    assemble(strict, RELEASE, sign(ada))
    monkeypatch.setattr(signature, "PROGRAM", "no-such-program")
    error = refused("no-verifier", strict, "assemble", manifest=RELEASE.text)
    assert "openssh-client" in error.error["hint"]


def test_where_none_is_required_a_signature_is_kept_and_not_checked(layout: Layout, eve: Signer) -> None:
    """Also for a release that came without one before; a stale one goes with its manifest."""
    assert assemble(layout, RELEASE, None)["signed_by"] is None
    assert assemble(layout, RELEASE, sign(eve))["repaired"] == 1
    prepare(layout, RELEASE)
    (found,) = call(layout, "verify", version="1.0")["releases"]
    assert found["signature"] == {"state": "unchecked"}
    other = Release("1.0", {**RELEASE.files, "lib/a.py": b"a = 2\n"})
    (layout.generation(1) / "meta.json").unlink()
    assemble(layout, other, None)
    assert signature.read(layout, "1.0") is None


def test_what_serves_is_not_asked_again(strict: Layout, ada: Signer, agent: Caller, port: int) -> None:
    """A reboot after a key was taken off the list must not stop the service: here the release can't even serve."""
    assemble(strict, RELEASE, sign(ada))
    prepare(strict, RELEASE)
    strict.current.symlink_to("generations/1")
    strict.allowed_signers.write_text("")
    error = refused("died", strict, "start", listen=f"127.0.0.1:{port}", deadline=5)
    assert "signature" not in error.error["message"]


def test_a_manifest_may_not_bring_a_signature_of_its_own(layout: Layout) -> None:
    release = small(**{"manifest.json.sig": b"x"})
    error = refused("bad-manifest", layout, "assemble", manifest=release.text)
    assert "manifest's own" in error.error["message"]


def test_the_list_lies_with_the_configuration_of_a_server() -> None:
    assert Layout.system("shop").allowed_signers == Path("/etc/shop/allowed_signers")
    assert Layout.system("shop").verified == Path("/opt/shop/verified.json")


def test_without_ssh_keygen_the_package_is_named(
    strict: Layout, ada: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(signature, "PATH", str(tmp_path))
    error = refused("no-verifier", strict, "assemble", manifest=RELEASE.text, signature=sign(ada))
    assert "openssh-client" in error.error["hint"]
    assert not list(strict.releases.iterdir())
