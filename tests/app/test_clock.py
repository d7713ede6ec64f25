from datetime import UTC, datetime, timedelta

from app.clock import FixedClock, SystemClock


def test_the_system_clock_is_aware_and_runs() -> None:
    first, second = SystemClock().now(), SystemClock().now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second
    assert abs(datetime.now(UTC) - second) < timedelta(seconds=5)


def test_the_fixed_clock_stands_still_until_told() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.moment += timedelta(days=1)
    assert clock.now().day == 2
