import logging
from concurrent.futures import ThreadPoolExecutor

from app.logs.context import ContextFilter, request_context, request_id, user_id


def test_records_inside_a_request_carry_its_id_and_user() -> None:
    record = logging.makeLogRecord({})
    with request_context("abc"):
        user_id.set(7)
        assert ContextFilter().filter(record)
    assert (record.request_id, record.user_id) == ("abc", 7)


def test_nothing_is_left_after_a_request() -> None:
    with request_context("outer"):
        user_id.set(1)
        with request_context("inner"):
            assert user_id.get() is None
        assert (request_id.get(), user_id.get()) == ("outer", 1)
    assert (request_id.get(), user_id.get()) == (None, None)


def test_threads_do_not_see_one_another() -> None:
    def serve(number: int) -> bool:
        with request_context(str(number)):
            return request_id.get() == str(number)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(serve, range(100)))
