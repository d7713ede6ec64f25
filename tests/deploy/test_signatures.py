"""What speaks against a rollout when an environment requires signatures."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from deploy import signatures
from deploy.batches import Policy
from deploy.environment import Environment
from deploy.environment_model import EnvironmentFile
from deploy.facts import Generation, Host, Release
from deploy.plan import Kind, Target, plan_rollout
from deploy.signatures import SignersError
from tests.support.signing import Signer, signer

MANIFEST = "{}\n"


def environment(signatures: str) -> Environment:
    data = {
        "transport": "local",
        "directory": "var/x",
        "signatures": signatures,
        "hosts": {"web1": {"roles": ["web"], "listen": "127.0.0.1:1"}},
        "balancer": {"listen": "127.0.0.1:2"},
    }
    return Environment("x", Path("x"), EnvironmentFile.model_validate(data, strict=False))


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signers(ada: Signer, tmp_path: Path) -> Path:
    path = tmp_path / "allowed_signers"
    path.write_text(ada.line)
    return path


def test_optional_asks_nothing(tmp_path: Path) -> None:
    assert signatures.wanted(environment("optional"), tmp_path / "none") is None
    assert signatures.problem(environment("optional"), "1.0", MANIFEST, None, tmp_path / "none") is None


def test_required_names_what_is_wrong(ada: Signer, signers: Path, tmp_path: Path) -> None:
    strict = environment("required")
    good = ada.sign(MANIFEST.encode())
    assert signatures.problem(strict, "1.0", MANIFEST, good, signers) is None
    unsigned = signatures.problem(strict, "1.0", MANIFEST, None, signers)
    assert unsigned
    assert unsigned.endswith(
        'release 1.0 is not signed, and deploy/environments/x.toml says signatures = "required" -> make sign'
    )
    altered = signatures.problem(strict, "1.0", "{ }\n", good, signers)
    assert altered
    assert "the signature of release 1.0 is not good" in altered
    with pytest.raises(SignersError, match=r"there is no packaging/keys/allowed_signers") as error:
        signatures.wanted(strict, tmp_path / "none")
    assert error.value.hint == "make key, then commit that file"


def host(signers: str | None, signature: str | None = None, current: int | None = None) -> Host:
    release = Release("1.0", "d", complete=True, signature=signature)
    generation = Generation(1, "1.0", "d", "e", activated=1.0)
    made = Host("web1", "127.0.0.1:1", current=current, signers=signers)
    return replace(made, releases=(release,), generations=(generation,)) if current else made


def test_hosts_that_go_by_another_list_are_named(signers: Path) -> None:
    expected = hashlib.sha256(signers.read_bytes()).hexdigest()

    def problems(policy: str, *hosts: Host) -> list[str]:
        return signatures.host_problems(environment(policy), hosts, signers)

    assert problems("required", host(expected)) == problems("optional", host(None)) == []
    (missing,) = problems("required", host(None))
    assert missing == "web1: does not require signatures yet -> fab bootstrap:x"
    assert "another list" in problems("required", host("0" * 64))[0]
    assert "requires signatures, and the environment file does not" in problems("optional", host(expected))[0]
    # What serves there is not signed, so bootstrap would refuse: first a signed release.
    assert problems("required", host(None, current=1)) == []
    assert len(problems("required", host(None, signature="s", current=1))) == 1


@pytest.mark.parametrize(("there", "wanted", "kinds"), [("s", "s", []), (None, "s", [Kind.STAGE]), ("s", None, [])])
def test_a_signature_that_is_new_is_sent(there: str | None, wanted: str | None, kinds: list[Kind]) -> None:
    """And nothing else is done for it; a release that lost its signature here keeps the one it has there."""
    from deploy.facts import Process, Server

    running = replace(
        host(None, signature=there, current=1),
        processes=(Process(1, 7, ready=True),),
        server=Server("web1", "ready", up=True),
    )
    target = Target(1, "1.0", "d", "e", signature=wanted)
    steps = plan_rollout([running], target, Policy()).steps
    assert [step.kind for step in steps if step.kind is not Kind.PRUNE] == kinds
