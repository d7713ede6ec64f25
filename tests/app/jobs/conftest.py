"""Jobs to try workers with, and a Redis server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[redis.Server]:
    with redis.running() as server:
        yield server


@pytest.fixture
def broker(redis_server: redis.Server) -> redis.Server:
    """A server with nothing in it."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server
