"""The states, compiled once for every role on every system that they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import salt
from tests.support.contracts import SCHEDULER, WORKER, minimal
from tests.support.environments import JOBS, SERVERS, written

ALL_FEATURES = "\n[pillar.slipway.features]\nredis = true\n"


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the folders that Salt serves: the states, and what the operator's side makes."""
    return [salt.STATES, salt.write_artifacts(tmp_path_factory.mktemp("more"), minimal(WORKER + SCHEDULER))]


@pytest.fixture(scope="session")
def pillars(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Give the pillar of each host of an environment with every role and feature."""
    environment = written(
        tmp_path_factory.mktemp("environment"), SERVERS + JOBS.replace('"worker"', '"scheduler"') + ALL_FEATURES
    )
    needs = 'system_packages = { debian = ["libmagic1"], redhat = ["file-libs"] }\n'
    return salt.pillars(environment, minimal(needs + WORKER + SCHEDULER))


@pytest.fixture(scope="session")
def compiled(
    pillars: dict[str, dict[str, Any]], roots: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Give the compiled states by "<host> <system>"."""
    servers = {
        f"{host} {system}": {"grains": salt.grains(system), "pillar": pillar}
        for system in salt.GRAINS
        for host, pillar in pillars.items()
    }
    return salt.compiled(servers, roots, tmp_path_factory.mktemp("scratch"))
