import threading
from datetime import UTC, datetime, timedelta

import pytest

from app.clock import FixedClock
from app.jobs.models import Arguments, Job
from app.jobs.periodic import Periodic, always_first, turn_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURLY = Job("hourly", "every hour", lambda components, arguments: "", every=timedelta(hours=1))
ASKED = Job("asked", "when asked", lambda components, arguments: "")


class Asked:
    """A queue that keeps names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def enqueue(self, name: str, arguments: Arguments | None = None) -> None:
        """Keep it."""
        self.names.append(name)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


def test_a_job_is_asked_for_once_in_its_time(clock: FixedClock) -> None:
    queue = Asked()
    periodic = Periodic([HOURLY, ASKED], queue, clock, always_first)
    for minutes in (0, 1, 59, 60, 61):
        clock.moment = NOW + timedelta(minutes=minutes)
        periodic.tick()
    assert queue.names == ["hourly", "hourly"]


def test_of_several_workers_one_asks(clock: FixedClock) -> None:
    queue, turns = Asked(), set()

    def claim(name: str, turn: int, seconds: float) -> bool:
        first = (name, turn) not in turns
        turns.add((name, turn))
        return first

    workers = [Periodic([HOURLY], queue, clock, claim) for _ in range(3)]
    for hours in range(4):
        clock.moment = NOW + timedelta(hours=hours)
        for worker in workers:
            worker.tick()
    assert queue.names == ["hourly"] * 4
    assert turn_of(HOURLY, NOW + timedelta(hours=1)) == turn_of(HOURLY, NOW) + 1


def test_what_could_not_be_asked_for_is_tried_again(clock: FixedClock, caplog: pytest.LogCaptureFixture) -> None:
    queue, away = Asked(), [True]

    def claim(name: str, turn: int, seconds: float) -> bool:
        if away[0]:
            raise OSError("the broker is away")
        return True

    periodic = Periodic([HOURLY], queue, clock, claim)
    periodic.tick()
    assert (queue.names, "the broker is away" in caplog.text) == ([], True)
    away[0] = False
    periodic.tick()
    assert queue.names == ["hourly"]


def test_it_ends_when_it_is_time_to_leave(clock: FixedClock) -> None:
    queue, leaving = Asked(), threading.Event()
    thread = threading.Thread(target=Periodic([HOURLY], queue, clock, always_first).run_until, args=(leaving,))
    thread.start()
    leaving.set()
    thread.join(30)
    assert not thread.is_alive()
