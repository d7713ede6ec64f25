"""Many servers side by side: what comes of each, and what Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from functools import partial

import pytest

from deploy.errors import SlipwayError
from deploy.highstate.reach import side_by_side


def test_each_host_has_its_result_or_its_error() -> None:
    def one(host: str) -> int:
        if host == "web2":
            raise SlipwayError("web2: no")
        return len(host)

    found, errors = side_by_side(["lb1", "web1", "web2"], one)
    assert found == {"lb1": 3, "web1": 4}
    assert {host: error.message for host, error in errors.items()} == {"web2": "web2: no"}


def test_each_ctrl_c_is_more_urgent_even_while_another_is_acted_on() -> None:
    over, calls = threading.Event(), []

    def first() -> None:
        calls.append("first")
        signal.raise_signal(signal.SIGINT)
        calls.append("never")

    def second() -> None:
        calls.append("second")
        over.set()

    def one(host: str) -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        over.wait(30)
        return host

    side_by_side(["web1"], one, [first, second])
    assert calls == ["first", "second"]


def test_hosts_whose_turn_has_not_come_are_left_out_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.highstate.reach.PARALLEL", 1)
    over = threading.Event()

    def one(host: str) -> str:
        if host == "web1":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            over.wait(30)
        return host

    _, errors = side_by_side(["web1", "web2"], one, [over.set])
    assert errors["web2"].message == "web2: stopped before its turn"


def test_ctrl_c_ends_what_nothing_can_stop_early() -> None:
    interrupt = partial(signal.pthread_kill, threading.main_thread().ident or 0, signal.SIGINT)
    over = threading.Event()

    def one(host: str) -> None:
        interrupt()
        over.wait(0.1)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(["web1"], one)
