"""With gunicorn's own worker: tests/contract/test_ops.py."""

import signal
from collections.abc import Iterator

import pytest

from app.middleware.leaving import is_leaving


class Worker:
    alive = True

    def handle_exit(self, *_: object) -> None:
        self.alive = False


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_as_it_was")
def test_a_worker_leaves_once_it_was_told() -> None:
    worker = Worker()
    signal.signal(signal.SIGTERM, worker.handle_exit)
    assert not is_leaving()
    signal.raise_signal(signal.SIGTERM)
    assert is_leaving()


@pytest.mark.usefixtures("_as_it_was")
def test_other_processes_never_do() -> None:
    for handler in (signal.SIG_DFL, signal.SIG_IGN, lambda *_: None):
        signal.signal(signal.SIGTERM, handler)
        assert not is_leaving()
