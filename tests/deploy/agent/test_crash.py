"""Killed at any moment, a verb leaves what the same verb, called again, makes whole; and nobody sees a half."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import generations, releases
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from tests.deploy.agent import crash
from tests.deploy.agent.kit import (
    Caller,
    Release,
    call,
    eventually,
    get,
    outcome,
    receive_request,
    sha256,
    small,
    tree,
)

THOROUGH = bool(os.environ.get("SLIPWAY_THOROUGH"))
ONE, TWO = small("1.0"), small("1.0").variant("2.0")
VOLATILE = ["lock", "lease.lock", "tmp", "ledger.jsonl", "generations/1/meta.json", "generations/2/meta.json"]


def prepare(release: Release) -> dict[str, Any]:
    return {
        "verb": "prepare", "generation": 1, "version": release.version, "digest": release.digest,
        "variables": {"A": "1"}, "secrets": {"S": "2"},
    }  # fmt: skip


def damage(layout: Layout) -> None:
    path = layout.release("1.0") / "lib/a.py"
    path.unlink()
    path.write_text("evil")
    (layout.release("1.0") / "extra").write_text("x")


LEASE = {"action": "acquire", "owner": {"who": "me", "rollout": "r1"}, "ttl": 60}
OLD = {"generation": 1, "deadline": 5}

# verb: what was done before, and the request that is killed
SCENES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "receive": ([], receive_request(ONE)),
    "assemble a new release": ([receive_request(ONE)], {"verb": "assemble", "manifest": ONE.text}),
    "repair a release": (
        [receive_request(ONE), {"verb": "assemble", "manifest": ONE.text}, damage],
        {"verb": "assemble", "manifest": ONE.text},
    ),
    "twins of one content": (
        [receive_request(Release("1.0", {"bin/x": b"x", "lib/x": b"x"}))],
        {"verb": "assemble", "manifest": Release("1.0", {"bin/x": b"x", "lib/x": b"x"}).text},
    ),
    "prepare": ([receive_request(ONE), {"verb": "assemble", "manifest": ONE.text}], prepare(ONE)),
    "prune": (
        [
            receive_request(ONE), {"verb": "assemble", "manifest": ONE.text}, receive_request(TWO),
            {"verb": "assemble", "manifest": TWO.text}, prepare(ONE), {**prepare(TWO), "generation": 2},
            lambda layout: generations.set_current(layout, 2),
        ],
        {"verb": "prune", "keep": 1},
    ),
    "lease": ([], {"verb": "lease", **LEASE}),
    "ledger": ([], {"verb": "ledger", "append": [{"phase": "begin", "step": "x", "time": 1.0, "host": "h"}]}),
}  # fmt: skip


def play(layout: Layout, scene: list[Any]) -> None:
    for step in scene:
        if callable(step):
            step(layout)
        else:
            call(layout, **step)


@pytest.mark.parametrize(("before", "request_"), SCENES.values(), ids=SCENES)
def test_a_killed_verb_converges(tmp_path: Path, before: list[Any], request_: dict[str, Any]) -> None:
    """At each effect: nothing half-made is visible, and the same verb again ends where an undisturbed one does."""
    reference = Layout.under(tmp_path / "reference")
    reference.make()
    play(reference, [*before, request_])
    wanted = described(reference)
    kills = 0
    for k in range(1000):
        layout = Layout.under(tmp_path / f"killed-{k}")
        layout.make()
        play(layout, before)
        if not crash.kill_at(k, lambda layout=layout: call(layout, **request_)):  # type: ignore[misc]
            break
        kills += 1
        nothing_is_half_made(layout)
        call(layout, **request_)
        assert described(layout) == wanted, f"killed at effect {k}"
    assert kills >= 2


def described(layout: Layout) -> dict[str, Any]:
    found = tree(layout.base, but=VOLATILE)
    text = found.pop("lease.json", (b"{}",))[0]
    found["token"] = json.loads(text).get("token")
    # The environment names its own place; a killed append may come twice, as its caller did not see it.
    for name in [name for name in found if name.endswith("/env")]:
        found[name] = found[name][0].replace(str(layout.base).encode(), b"")
    found.pop("ledger.jsonl", None)
    # A content whose executable twin was just made may stay a while; nothing links to it, and `prune` removes it.
    return {
        name: what
        for name, what in found.items()
        if f"{name}.x" not in found or (layout.base / name).stat().st_nlink > 1
    }


def nothing_is_half_made(layout: Layout) -> None:
    for path in layout.store.rglob("*"):
        if path.is_file():
            assert sha256(path.read_bytes()) == path.parent.name + path.name.replace(".x", "")
    for version in releases.versions(layout):
        # A release under its name is whole, or at least known not to be.
        try:
            wanted = releases.load(layout, version)
        except AgentError:
            continue
        for path in set(wanted.files) - set(releases.look(layout, wanted)):
            assert sha256((layout.release(version) / path).read_bytes()) == wanted.files[path].sha256
    for number in generations.numbers(layout):
        assert generations.load(layout, number).variables == {"A": "1"}
        assert (layout.generation(number) / "credentials/S").read_text() == "2"
    current = generations.current(layout)
    assert current is None or layout.generation(current).is_dir()


def test_a_killed_activation_converges_without_losing_a_request(
    agent: Caller, real_release: Release, port: int, load: Callable[..., subprocess.Popen[str]]
) -> None:
    """Killed at effects all along an activation, which is then repeated: one generation serves, no request fails."""
    listen = f"127.0.0.1:{port}"
    layout = Layout.under(agent.root)
    agent.prepare(1, real_release)
    agent.prepare(2, real_release.variant("2.0"))
    agent("activate", generation=1, deadline=30, listen=listen)
    clients = load()
    target, kills = 2, 0
    for k in range(1, 200, 1 if THOROUGH else 11):
        request: dict[str, Any] = {"generation": target, "deadline": 30, "listen": listen}
        killed = crash.kill_at(k, lambda request=request: call(layout, "activate", **request))  # type: ignore[misc]
        if killed:
            kills += 1
            assert agent("status", releases=False)["current"] in (1, 2)
            agent("activate", **request)
        status = agent("status", releases=False)
        assert (status["current"], [p["generation"] for p in status["processes"]]) == (target, [target])
        assert status["listening"] == listen
        assert get(port)[1]["generation"] == str(target)
        if not killed:
            break
        target = 3 - target
    counted = outcome(clients)
    assert counted["failures"] == []
    assert counted["requests"] > 50
    assert kills >= 3


def test_a_killed_first_activation_converges(agent: Caller, real_release: Release, port: int) -> None:
    """Also with nothing there before: the socket that a killed agent made is found again."""
    listen = f"127.0.0.1:{port}"
    layout = Layout.under(agent.root)
    agent.prepare(1, real_release)
    for k in range(1, 200, 1 if THOROUGH else 17):
        request: dict[str, Any] = {"generation": 1, "deadline": 30, "listen": listen}
        killed = crash.kill_at(k, lambda request=request: call(layout, "activate", **request))  # type: ignore[misc]
        agent("activate", **request)
        assert get(port)[1]["generation"] == "1"
        agent("stop")
        eventually(lambda: agent("status")["processes"] == [])
        if not killed:
            break
    assert list(layout.run.iterdir()) == [layout.run / "listen.alive"]
