"""Schedulers: of two generations never both at a time, whatever becomes of the switch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploy.agent.kit import AgentFailure, Caller, Release, get


def activate(agent: Caller, number: int, *processes: str, **more: Any) -> dict[str, Any]:
    return agent("activate", **{"generation": number, "deadline": 15, "processes": [*processes], **more})


def lived(agent: Caller) -> list[str]:
    return (agent.root / "state/scheduler.log").read_text().splitlines()


def runs(agent: Caller) -> list[tuple[int, str, bool]]:
    return sorted((p["generation"], p["process"], p["ready"]) for p in agent("status")["processes"])


def test_the_old_one_ends_before_the_new_one_begins(agent: Caller, real_release: Release, port: int) -> None:
    """Beside a web server, which overlaps as ever."""
    both, listen = ("web", "scheduler"), f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release.variant("2.0"))
    activate(agent, 1, *both, listen=listen)
    assert activate(agent, 2, *both, listen=listen)["previous"] == 1
    assert lived(agent) == ["1 begins", "1 ends", "2 begins"]
    assert runs(agent) == [(2, "scheduler", True), (2, "web", True)]
    assert get(port)[0] == 200
    assert activate(agent, 2, *both, listen=listen)["changed"] is False
    assert lived(agent)[-1] == "2 begins", "what runs already is left alone"


def test_one_that_does_not_come_up_brings_the_old_one_back(agent: Caller, real_release: Release) -> None:
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, SCHEDULER="raise")
    activate(agent, 1, "scheduler")
    with pytest.raises(AgentFailure) as caught:
        activate(agent, 2, "scheduler")
    assert caught.value.code == "died"
    assert "this scheduler can't be started" in json.dumps(caught.value.error)
    assert (agent("status")["current"], runs(agent)) == (1, [(1, "scheduler", True)])
    assert activate(agent, 1, "scheduler")["changed"] is False
    assert lived(agent) == ["1 begins", "1 ends", "1 begins"]


def test_a_host_that_loses_the_role_ends_it(agent: Caller, real_release: Release) -> None:
    agent.prepare(1, real_release)
    activate(agent, 1, "worker", "scheduler")
    assert activate(agent, 1, "worker")["changed"] is True
    assert lived(agent) == ["1 begins", "1 ends"]
    assert runs(agent) == [(1, "worker", True)]
