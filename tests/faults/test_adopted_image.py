"""flaskr, as published, in a container by itself: a link of its release, a configuration file, a database in a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import contract
from deploy.artifacts.image import build_image, engine, trial
from tests.support import images, sdists
from tests.support.images import Place
from tests.support.repository import ROOT

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(engine.problem() is not None, reason=str(engine.problem())),
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Have the application beside a folder with its slipway.toml, as `make adopt` writes it."""
    sdists.checkout(sdists.FLASKR, tmp_path / "app")
    folder = tmp_path / "slipway"
    folder.mkdir()
    shutil.copytree(ROOT / "packaging", folder / "packaging")
    command = [sys.executable, "-m", "deploy.adopt", "init", "../app"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return folder


@pytest.fixture
def place(site: Path, tmp_path: Path) -> Iterator[Place]:
    with engine.running(ROOT / "var/docker") as client:
        base = images.base()
        images.imported(client, base)
        made = build_image(site, None, tmp_path / "dist", base, contract.read(site))
        trial.load(client, made.path)
        try:
            with images.place(client, made.reference) as found:
                yield found
        finally:
            client.images.remove(made.reference, force=True)


def test_it_finds_its_data_and_its_settings_where_it_looks_for_them(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text('SECRET_KEY = "of this test"\n')
    config.chmod(0o644)
    inside = "/run/secrets/config.py"
    options: dict[str, Any] = {
        "volumes": {
            place.volume.name: {"bind": "/var/lib/flaskr"}, str(config): {"bind": inside, "mode": "ro"}
        },
        "environment": {"INSTANCE_CONFIG_PY_FILE": inside},
    }  # fmt: skip
    with pytest.raises(Exception, match="expected INSTANCE_CONFIG_PY_FILE: the path of a mounted secret"):
        place.run("-m", "flask", "--app", "flaskr", "init-db", **options | {"environment": {}})
    assert "Initialized" in place.run("-m", "flask", "--app", "flaskr", "init-db", **options)
    container = place.client.containers.run(place.reference, detach=True, **place.options() | options)
    try:
        container.reload()
        images.wait(lambda: b"Register" in images.ask(container, "/auth/register")[1], container)
        said = container.exec_run(["cat", "/var/lib/flaskr/state/instance/config.py"])
        assert said.output == b'SECRET_KEY = "of this test"\n'
        assert container.exec_run(["ls", "/var/lib/flaskr/state/instance/flaskr.sqlite"]).exit_code == 0
    finally:
        container.remove(force=True)
