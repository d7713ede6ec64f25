"""With real processes: what matters is what happens when they are forked, and when they die."""

import os
import signal
import struct
from collections.abc import Callable

import pytest

from app.middleware import shared_series
from app.middleware.shared_series import GAUGE, SharedSeries, open_anonymous


class Worker:
    """A forked process that does something, says so, and waits to be killed."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.done, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                act()
                os.write(writer, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(self.done, 1) == b"x"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.done)


def test_all_workers_add_up() -> None:
    series = SharedSeries()
    workers = [Worker(lambda: series.add("requests", [(0, 1), (2, 0.5)], 3)) for _ in range(3)]
    series.add("requests", [(1, 7)], 3)
    assert series.sums() == {"requests": [3, 7, 1.5]}
    for worker in workers:
        worker.kill()
    assert series.sums() == {"requests": [3, 7, 1.5]}, "what was counted stays counted"


def test_the_dead_have_nothing_in_flight() -> None:
    series = SharedSeries()

    def begin() -> None:
        series.add(GAUGE + "in_flight", [(0, 1)])
        series.add("requests", [(0, 1)])

    first, second = Worker(begin), Worker(begin)
    assert series.sums()[GAUGE + "in_flight"] == [2]
    first.kill()
    assert series.sums() == {GAUGE + "in_flight": [1], "requests": [2]}
    second.kill()


def test_the_next_worker_goes_on_in_the_slot_of_a_dead_one() -> None:
    series = SharedSeries(slots=1)
    for _ in range(3):
        worker = Worker(lambda: series.add("requests", [(0, 1)]))
        series.sums()
        worker.kill()
    assert series.sums() == {"requests": [3]}


def test_more_workers_than_slots_lose_numbers_but_no_request() -> None:
    series = SharedSeries(slots=1)
    worker = Worker(lambda: series.add("requests", [(0, 1)]))
    series.add("requests", [(0, 1)])
    assert series.sums() == {"requests": [1]}
    worker.kill()


def test_looking_gives_nobodys_slot_away() -> None:
    series = SharedSeries(slots=2)
    series.add("a", [(0, 1)])
    worker = Worker(lambda: (series.sums(), series.add("b", [(0, 1)])))  # type: ignore[func-returns-value,arg-type]
    series.sums()
    other = Worker(lambda: series.add("c", [(0, 1)]))
    assert series.sums() == {"a": [1], "b": [1]}, "both slots are still taken"
    worker.kill()
    other.kill()


def test_a_full_slot_counts_on_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_series, "SLOT_BYTES", 4096)
    series = SharedSeries(slots=1)
    for _ in range(2):
        for number in range(200):
            series.add(f"series-{number:03}-é", [(0, 1)])
    found = series.sums()
    assert 80 < len(found) < 200
    assert set(map(tuple, found.values())) == {(2,)}


def test_without_memfd_a_file_without_a_name_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    number = open_anonymous()
    assert os.fstat(number).st_nlink == 0
    os.pwrite(number, struct.pack("=d", 1.5), 0)
    os.close(number)
