"""What a server is sent: states, its own pillar, and nothing of anybody else."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from deploy.highstate import parcel
from tests.support.contracts import minimal
from tests.support.environments import written


def unpacked(data: bytes) -> dict[str, tarfile.TarInfo]:
    """List what is in a parcel."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return {member.name: member for member in archive.getmembers()}


def test_states_come_with_what_is_made_from_the_contract() -> None:
    states = parcel.states(minimal())
    assert states["artifacts/releasectl"].startswith(b"#!/usr/bin/env -S python3 -IS")
    files = json.loads(states["artifacts/files.json"])
    assert "/usr/lib/systemd/system/sample.socket" in files
    assert "haproxy/files/haproxy.cfg.jinja" in states
    assert not [path for path in states if path.endswith((".md", ".pyc"))]


def test_a_parcel_is_private_and_the_same_for_the_same_content() -> None:
    states = {"top.sls": b"base: {}"}
    made = parcel.of_host(states, "web1", {"slipway": {"host": "web1"}})
    packed = made.pack()
    again = parcel.of_host(dict(states), "web1", {"slipway": {"host": "web1"}})
    assert (packed, made.key) == (again.pack(), again.key)
    members = unpacked(packed)
    assert set(members) == {"states/top.sls", "pillar/top.sls", "pillar/web1.sls", "run_states.py"}
    assert {member.mode for member in members.values()} == {0o600}


def test_each_host_has_a_pillar_file_that_only_it_is_given() -> None:
    files = parcel.pillar_files({"web1": {"a": 1}, "db1": {"a": 2}})
    top = json.loads(files["pillar/top.sls"].partition(b"\n")[2])
    assert top == {"base": {"web1": ["web1"], "db1": ["db1"]}}
    assert json.loads(files["pillar/db1.sls"].partition(b"\n")[2]) == {"a": 2}


def test_a_minion_is_named_after_its_host_and_targeted_by_role(tmp_path: Path) -> None:
    settings = parcel.minion(written(tmp_path), "web2")
    assert settings["id"] == "web2"
    assert settings["grains"] == {"environment": "prod", "roles": ["web", "worker"]}
