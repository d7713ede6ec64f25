import contextlib
from datetime import UTC, datetime, timedelta

import svcs

from app.auth.accounts import Accounts
from app.auth.credentials import Credentials
from app.auth.models import ApiToken, Client
from app.auth.repository import TokenRepository
from app.auth.sessions import Sessions
from app.background import JOBS
from app.clock import Clock, FixedClock
from app.database.session import Session
from app.errors import NotAuthenticated
from app.jobs.runner import JobRunner
from app.mail.mailers import InMemoryMailer
from app.users.repository import UserRepository
from app.users.services import Users
from tests.app.conftest import PASSWORD

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


def test_what_means_nothing_any_more_is_removed(registry: svcs.Registry, mailer: InMemoryMailer) -> None:
    clock = FixedClock(NOW)
    registry.register_value(Clock, clock)
    runner = JobRunner(registry, JOBS)
    with svcs.Container(registry) as components:
        components.get(Users).create("me@example.org", "Me", PASSWORD)
        components.get(Sessions).log_in("me@example.org", PASSWORD, Client())
        with contextlib.suppress(NotAuthenticated):
            components.get(Credentials).check("me@example.org", "wrong password")
        components.get(Accounts).ask_reset("me@example.org")
    assert len(mailer.sent) == 1
    assert runner.run("auth.clean-up", {}) == "removed sessions: 0, letters: 0, counts of failures: 0"
    clock.moment += timedelta(days=14)
    assert runner.run("auth.clean-up", {}) == "removed sessions: 1, letters: 1, counts of failures: 1"
    assert runner.run("auth.clean-up", {}) == "removed sessions: 0, letters: 0, counts of failures: 0"


def test_what_could_not_be_sent_is_sent_by_a_later_round(registry: svcs.Registry, mailer: InMemoryMailer) -> None:
    clock = FixedClock(NOW)
    registry.register_value(Clock, clock)
    runner = JobRunner(registry, JOBS)
    mailer.down = True
    with svcs.Container(registry) as components:
        components.get(Accounts).ask_reset("me@example.org")
    mailer.down = False
    assert runner.run("auth.send-due-letters", {}) == "letters sent: 0", "it was tried a moment ago"
    clock.moment += timedelta(minutes=1)
    assert runner.run("auth.send-due-letters", {}) == "letters sent: 1"
    assert [mail.to for mail in mailer.sent] == ["me@example.org"]
    assert runner.run("auth.send-letter", {"id": "no such letter"}) == "not sent by this job"
