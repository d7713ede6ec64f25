"""Our own engine: started for the first who needs it, shared, stopped by the last."""

import os
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts.image import engine
from deploy.artifacts.image.engine import EngineError

needs_engine = pytest.mark.skipif(engine.problem() is not None, reason=str(engine.problem()))


@pytest.fixture(autouse=True)
def _no_other_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@needs_engine
def test_the_last_user_stops_it_and_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    import tempfile

    state = Path(tempfile.mkdtemp(prefix="slipway-"))  # the path of a socket has to be short
    try:
        with engine.running(state) as one:
            pid = int((state / "pid").read_text())
            with engine.running(state) as two:
                assert engine.is_ours(two)
                assert two.info()["ID"] == one.info()["ID"]
            assert one.ping(), "another still uses it"
            assert one.networks.list(names=["bridge"]) == [], "no default bridge: the machine's network is left alone"
        assert not Path(f"/proc/{pid}").exists()
        assert not (state / "docker.sock").exists()
    except EngineError as error:
        if "could not be started" not in str(error):
            raise
        pytest.skip(f"{error}: {'; '.join(error.problems)}")
    finally:
        shutil.rmtree(state, ignore_errors=True)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine, "_dockerd", lambda: None)
    with (
        pytest.raises(EngineError, match=r"dockerd is missing \(apt-get install"),
        engine.running(tmp_path),
    ):
        pass
    with engine.found() as client:
        assert client is None


def test_an_engine_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    import tempfile

    state = Path(tempfile.mkdtemp(prefix="slipway-"))
    program = state / "dockerd"
    program.write_text("#!/bin/sh\necho 'failed to mount: no cgroups' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine, "_dockerd", lambda: str(program))
    try:
        with pytest.raises(EngineError, match="could not be started") as caught, engine.running(state):
            pass
        assert caught.value.problems == ("failed to mount: no cgroups",)
    finally:
        shutil.rmtree(state)


def test_a_path_too_long_for_a_socket_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "problem", lambda: None)
    with pytest.raises(EngineError, match="can't be that long"), engine.running(tmp_path / ("x" * 100)):
        pass


def test_only_the_process_that_is_our_engine_is_stopped(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    engine._stop(tmp_path)  # we live on
    (tmp_path / "pid").write_text("no number")
    engine._stop(tmp_path)
