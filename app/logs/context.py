"""Which request, and whose, the running thread is serving: what log lines are marked with."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger(__name__)

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
user_id: ContextVar[int | None] = ContextVar("user_id", default=None)


@contextmanager
def request_context(identifier: str) -> Iterator[None]:
    """Mark every line logged inside with the request's id (and with the user's, once one is recognised)."""
    request_token, user_token = request_id.set(identifier), user_id.set(None)
    try:
        yield
    finally:
        user_id.reset(user_token)
        request_id.reset(request_token)


class ContextFilter(logging.Filter):
    """Copy the context to each record, so that formatters find it even after the request is over."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.user_id = user_id.get()
        return True
