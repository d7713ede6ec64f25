"""What haproxy-keep-state writes for HAProxy's next process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import salt
from tests.support.haproxy import Balancer
from tests.support.programs import load

SOURCE = salt.STATES / "haproxy/files/keep_state.py"


@pytest.fixture(scope="session")
def program() -> ModuleType:
    """The program as a module."""
    return load(SOURCE)


def keep(program: ModuleType, balancer: Balancer) -> None:
    folder = balancer.folder
    program.main("sample", str(folder / "admin.sock"), str(folder / "haproxy.cfg"), str(folder / "server-state"))


def admin_states(balancer: Balancer) -> dict[str, str]:
    rows = [line.split() for line in balancer.send("show servers state sample").splitlines()[2:] if line]
    return {row[3]: row[6] for row in rows}


def test_the_next_process_knows_who_is_drained(program: ModuleType, balancer: Balancer) -> None:
    balancer.send("set server sample/web1 state drain")
    balancer.send("set server sample/web2 state maint")
    keep(program, balancer)
    balancer.stop()
    balancer.start()
    assert admin_states(balancer) == {"web1": "8", "web2": "1"}


def test_without_haproxy_what_was_saved_stays(program: ModuleType, balancer: Balancer) -> None:
    balancer.send("set server sample/web1 state maint")
    keep(program, balancer)
    saved = (balancer.folder / "server-state").read_text()
    balancer.stop()
    keep(program, balancer)
    assert (balancer.folder / "server-state").read_text() == saved


def test_ports_are_the_configurations(program: ModuleType, balancer: Balancer) -> None:
    """HAProxy believes a saved port more than its configuration (haproxy#1412)."""
    balancer.send("set server sample/web1 state maint")
    config = balancer.folder / "haproxy.cfg"
    keep(program, balancer)
    text = config.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("    server web1 ")]
    config.write_text(text.replace(line, "    server web1 127.0.0.1:9"))
    keep(program, balancer)
    balancer.stop()
    balancer.start()
    row = next(line.split() for line in balancer.send("show servers state sample").splitlines() if " web1 " in line)
    assert (row[4], row[18], row[6]) == ("127.0.0.1", "9", "1")


def test_nothing_saved_and_nothing_running_is_an_empty_state(program: ModuleType, tmp_path: Path) -> None:
    program.main("sample", str(tmp_path / "none"), str(tmp_path / "none.cfg"), str(tmp_path / "state"))
    assert (tmp_path / "state").read_text() == "1\n"


def test_a_file_that_need_not_change_is_left_alone(program: ModuleType, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("1\n")
    before = state.stat().st_ino
    program.main("sample", str(tmp_path / "none"), str(tmp_path / "none.cfg"), str(state))
    assert state.stat().st_ino == before


def test_an_answer_that_is_none_fails_the_reload(program: ModuleType, tmp_path: Path) -> None:
    """Better no reload than one that puts drained servers back."""
    (tmp_path / "state").write_text("1\nkept\n")
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True)"
    code += "; c = s.accept()[0]; c.recv(99); c.sendall(b'Unknown command.'); c.close()"
    words = [sys.executable, "-c", code, str(tmp_path / "s")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as stub:
        assert stub.stdout
        stub.stdout.readline()
        with pytest.raises(OSError, match="expected the states of servers"):
            program.main("sample", str(tmp_path / "s"), str(tmp_path / "none.cfg"), str(tmp_path / "state"))
    assert (tmp_path / "state").read_text() == "1\nkept\n"


def test_ports_are_the_configurations_in_every_backend_of_the_project(program: ModuleType) -> None:
    rows = [f"2 {backend} 1 web1 10.0.0.21 2 {'0 ' * 12}8000" for backend in ("shop", "shop.api", "shop-admin")]
    found = program.with_ports("1\n" + "\n".join(rows) + "\n", "shop", {"web1": "9"})
    assert [line.split()[-1] for line in found.splitlines()[1:]] == ["9", "9", "8000"]
