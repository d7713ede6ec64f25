"""Generations really start, switch and stop: gunicorn, sockets, signals."""

from __future__ import annotations

import pytest

from tests.deploy.agent.kit import AgentFailure, Caller, Release, get


def test_a_generation_goes_from_files_to_serving(agent: Caller, real_release: Release, port: int) -> None:
    """Stage, prepare, try, migrate, activate: it serves, and a second activation has nothing to do."""
    agent.prepare(1, real_release, COLOUR="blue")
    assert agent("trial", generation=1, check="live", deadline=10)["status"] == 200
    assert agent("migrate", generation=1, command="migrate", timeout=10)["output"] == "migrated 1\n"
    first = agent("activate", generation=1, deadline=10, listen=f"127.0.0.1:{port}")
    assert (first["changed"], first["previous"]) == (True, None)
    assert get(port)[1]["generation"] == "1"
    status = agent("status")
    assert status["current"] == 1
    assert status["listening"] == f"127.0.0.1:{port}"
    [process] = status["processes"]
    assert (process["generation"], process["ready"], process["workers"]) == (1, True, 2)
    [generation] = status["generations"]
    assert generation["migrated"] is True
    assert generation["activated"] is not None
    again = agent("activate", generation=1, deadline=10, listen=f"127.0.0.1:{port}")
    assert again["changed"] is False
    assert agent("status")["processes"] == [process]
