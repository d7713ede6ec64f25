import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_serves_with_the_variables_of_dot_env(
    environ: dict[str, str], tmp_path: Path, seeded_database: Path
) -> None:
    database = shutil.copy(seeded_database, tmp_path / "full.sqlite3")
    (tmp_path / ".env").write_text(
        f"SECRET_KEY={environ['SECRET_KEY']}\nDATABASE_URL=sqlite:///{database}\nENVIRONMENT=from-file\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "app", "run", "--port", str(port)]
    env = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            version = json.loads(ask(f"http://127.0.0.1:{port}/version", server, seconds=160))
        finally:
            server.terminate()
    assert version["environment"] == "from-file"


def test_it_needs_nothing_at_all(tmp_path: Path) -> None:
    """In an empty folder and without a variable: a key for the occasion, a new database, all its data."""
    port = free_port()
    env = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "run", "--port", str(port)],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            found = json.loads(ask(f"http://127.0.0.1:{port}/api/v1/places?q=lisb", server, seconds=160))
        finally:
            server.terminate()
    assert found["items"][0]["name"] == "Lisbon"
    assert (tmp_path / "var" / "gazetteer.sqlite3").is_file()


def ask(url: str, server: subprocess.Popen[bytes], seconds: float = 20) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return bytes(response.read())
        except OSError:
            assert server.poll() is None, "the server has died"
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_without_a_valid_environment_it_says_why(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("run", LOG_LEVEL="LOUD")
    assert result.exit_code == 1
    assert "LOG_LEVEL" in result.stderr
    (tmp_path / ".env").write_text("nonsense\n")
    assert run("run").stderr == ".env: no NAME=value in line 1\n"
