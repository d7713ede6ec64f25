from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from app.database.types import UtcDateTime

SQLITE = dialect()


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_a_moment_comes_back_as_the_same_moment_in_utc(moment: datetime) -> None:
    stored = UtcDateTime().process_bind_param(moment, SQLITE)
    assert stored is not None
    assert stored.tzinfo is None
    back = UtcDateTime().process_result_value(stored, SQLITE)
    assert back == moment.astimezone(UTC)


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), SQLITE)  # noqa: DTZ001


def test_zones_are_converted_and_none_stays() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert UtcDateTime().process_bind_param(noon, SQLITE) == datetime(2026, 1, 1, 10)  # noqa: DTZ001
    assert UtcDateTime().process_bind_param(None, SQLITE) is None
    assert UtcDateTime().process_result_value(None, SQLITE) is None
