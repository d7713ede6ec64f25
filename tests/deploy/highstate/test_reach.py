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
    interrupt = partial(signal.pthread_kill, threading.main_thread().ident or 0, signal.SIGINT)
    over, calls = threading.Event(), list[str]()

    def first() -> None:
        calls.append("first")
        interrupt()
        over.wait(30)

    def second() -> None:
        calls.append("second")
        over.set()

    def one(host: str) -> str:
        interrupt()
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


def test_whenever_ctrl_c_comes_nothing_stands_still() -> None:
    """A stream of it: some come while a lock is taken, or given back."""
    interrupt = partial(signal.pthread_kill, threading.main_thread().ident or 0, signal.SIGINT)
    for _ in range(20):
        acted, over = threading.Semaphore(0), threading.Event()

        def one(host: str, acted: threading.Semaphore = acted, over: threading.Event = over) -> str:
            if host == "web1":
                while not over.is_set():
                    interrupt()
                    acted.acquire(timeout=0.001)
            return host

        interrupts = [acted.release] * 100 + [over.set] + [acted.release] * 1000
        assert side_by_side(["web1", "web2"], one, interrupts)[0]["web1"] == "web1"


def test_what_fails_while_ctrl_c_is_acted_on_is_not_lost() -> None:
    over = threading.Event()

    def one(host: str) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        over.wait(30)

    def fails() -> None:
        raise SlipwayError("no")

    with pytest.raises(SlipwayError, match="no"):
        side_by_side(["web1"], one, [fails, over.set])
