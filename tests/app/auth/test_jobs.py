from datetime import UTC, datetime, timedelta

import svcs

from app.auth.models import ApiToken
from app.auth.repository import TokenRepository
from app.background import JOBS
from app.clock import Clock, FixedClock
from app.database.session import Session
from app.jobs.runner import JobRunner
from app.users.repository import UserRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_expired_tokens_are_removed_and_others_stay(registry: svcs.Registry) -> None:
    registry.register_value(Clock, FixedClock(NOW))
    with svcs.Container(registry) as components:
        components.get(UserRepository).add("me@example.org", "Me", "hash", NOW)
        for name, expires_at in (("a", NOW - timedelta(days=1)), ("b", NOW), ("c", NOW + timedelta(seconds=1))):
            components.get(TokenRepository).add(ApiToken(1, name, name * 64, NOW, expires_at))
        components.get(Session).commit()
    runner = JobRunner(registry, JOBS)
    assert runner.run("auth.remove-expired-tokens", {}) == "2 expired tokens removed"
    assert runner.run("auth.remove-expired-tokens", {}) == "0 expired tokens removed"
    with svcs.Container(registry) as components:
        found = [components.get(TokenRepository).by_digest(name * 64) is not None for name in "abc"]
    assert found == [False, False, True]
