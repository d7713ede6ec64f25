"""Bootstrap decides whom a new server concerns; the rest is shown on machines (tests/fleet/test_bootstrap.py)."""

from __future__ import annotations

from pathlib import Path

from deploy.bootstrap import have_to_know
from tests.support.environments import written


def test_a_new_web_host_concerns_load_balancers_and_databases(tmp_path: Path) -> None:
    environment = written(tmp_path)
    assert have_to_know(environment, ["web2"]) == ["lb1", "db1"]
    assert have_to_know(environment, ["web1", "db1"]) == ["lb1"]
    assert have_to_know(environment, ["db1"]) == []
    assert have_to_know(environment, list(environment.hosts)) == []
