"""What a server says it lacks for each form of a release."""

from __future__ import annotations

import http.server
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.agent import forms
from deploy.agent.docker import VARIABLE


@contextmanager
def engine(path: Path, status: int) -> Iterator[None]:
    """Answer every question at a socket with this status, as an engine that is well, or is not."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with socketserver.UnixStreamServer(str(path), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize(
    ("programs", "rpm", "repository"),
    [((), ["rpm"], ["rpm", "dnf"]), (("rpm",), [], ["dnf"]), (("rpm", "dnf"), [], [])],
)
def test_packages_need_their_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...], rpm: list[str], repository: list[str]
) -> None:
    for program in programs:
        (tmp_path / program).touch(0o755)
    monkeypatch.setattr(forms, "PATH", str(tmp_path))
    found = forms.missing()
    assert (found["rpm"], found["repository"]) == (rpm, repository)


def test_images_need_an_engine_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "docker.sock"
    monkeypatch.setenv(VARIABLE, f"unix://{place}")
    lacking = [f"a Docker engine that answers at unix://{place}"]
    assert forms.missing()["image"] == lacking
    with engine(place, 200):
        assert forms.missing()["image"] == []
    place.unlink()
    with engine(place, 500):
        assert forms.missing()["image"] == lacking
    assert forms.missing()["image"] == lacking, "a socket that nobody listens on"
