import os
import socket
from pathlib import Path

import pytest

from app.jobs.notify import say_ready


def test_it_is_said_where_the_variable_leads_to(tmp_path: Path) -> None:
    """A path as systemd gives it, or an abstract name."""
    for address in (str(tmp_path / "notify"), ""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(10)
            say_ready({"NOTIFY_SOCKET": address or "@" + os.fsdecode(listener.getsockname()[1:])})
            assert listener.recv(100) == b"READY=1"


def test_nobody_has_to_listen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    say_ready({})
    assert not caplog.records
    say_ready({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert "nobody heard READY=1" in caplog.text
