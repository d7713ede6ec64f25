"""A server that leaves: nobody new is let in, and whoever was let in before is not forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.support.repository import ROOT

FILES = ROOT / "salt/app/files"
# Two connections that nobody accepts, then the server leaves; a third is refused; then the two are accepted.
SCENE = """
import socket, subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = socket.create_server(("127.0.0.1", 8123))
queued = [socket.create_connection(("127.0.0.1", 8123)) for _ in range(2)]
leaving = subprocess.Popen(["sh", sys.argv[1]])
while True:
    try:
        queued.append(socket.create_connection(("127.0.0.1", 8123), 5))
    except ConnectionRefusedError:
        break
    time.sleep(0.02)
time.sleep(2.5)
print("waits" if leaving.poll() is None else "gone")
for _ in queued:
    server.accept()
print("left", leaving.wait(30))
"""


def rendered(name: str, folder: Path) -> Path:
    """Write one of the files that Salt writes, for an application on port 8123."""
    jinja = Environment(loader=FileSystemLoader(FILES), undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    text = jinja.get_template(f"{name}.jinja").render(name="sample", listen="127.0.0.1:8123")
    path = folder / name
    path.write_text(text.replace("/etc/sample/", f"{folder}/"))
    return path


def test_it_waits_for_what_was_connected_and_not_taken_yet(tmp_path: Path) -> None:
    """Who waits in the queue of a socket as its application ends would hear nothing until that socket closes."""
    rendered("leave.nft", tmp_path)
    script = rendered("leave.sh", tmp_path)
    words = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", SCENE, str(script)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("waits\nleft 0\n", "")


@pytest.mark.parametrize("listen", ["0.0.0.0:8000", "[::]:8000", "10.0.0.21:9000"])
def test_the_program_is_sound_whatever_the_address(tmp_path: Path, listen: str) -> None:
    jinja = Environment(loader=FileSystemLoader(FILES), undefined=StrictUndefined)  # noqa: S701
    script = tmp_path / "leave"
    script.write_text(jinja.get_template("leave.sh.jinja").render(name="sample", listen=listen))
    subprocess.run(["sh", "-n", script], check=True)
    assert f"printf %04X {listen.rpartition(':')[2]}" in script.read_text()
