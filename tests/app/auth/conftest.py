"""Use cases of authentication on repositories in memory, at a time that stands still."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from app.auth.access import KeptAccess
from app.auth.accounts import Accounts
from app.auth.credentials import Credentials
from app.auth.failure_repository import InMemoryFailureRepository
from app.auth.letter_repository import InMemoryLetterRepository
from app.auth.letters import Letters
from app.auth.passwords import Argon2Hasher
from app.auth.repository import InMemoryTokenRepository
from app.auth.second_factor_repository import InMemorySecondFactorRepository
from app.auth.second_factors import SecondFactors
from app.auth.services import Tokens
from app.auth.session_repository import InMemorySessionRepository
from app.auth.sessions import Sessions
from app.clock import FixedClock
from app.database.transaction import InMemoryTransaction
from app.mail.mailers import InMemoryMailer
from app.settings import Settings
from app.users.models import User
from app.users.repository import InMemoryUserRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


class Queue:
    """Jobs that were asked for, for a test to do. Told that it is ``down``, it fails as a broker does."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Mapping[str, Any]]] = []
        self.down = False

    def enqueue(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        if self.down:
            raise ConnectionError("no broker")
        self.jobs.append((name, arguments or {}))


class World:
    """Everything that signs people in, with one user: me."""

    def __init__(self, settings: Settings) -> None:
        self.clock = FixedClock(NOW)
        self.hasher = Argon2Hasher(memory_kib=64)
        self.transaction = InMemoryTransaction()
        self.users = InMemoryUserRepository()
        self.kept_sessions = InMemorySessionRepository()
        self.kept_tokens = InMemoryTokenRepository()
        self.kept_letters = InMemoryLetterRepository()
        self.failures = InMemoryFailureRepository()
        self.kept_factors = InMemorySecondFactorRepository()
        self.queue = Queue()
        self.mailer = InMemoryMailer()
        self.credentials = Credentials(
            self.users, self.failures, self.kept_factors, self.transaction, self.hasher, self.clock, settings
        )
        self.sessions = Sessions(
            self.users, self.kept_sessions, self.transaction, self.credentials, self.clock, settings
        )
        self.tokens = Tokens(self.users, self.kept_tokens, self.transaction, self.credentials, self.clock, settings)
        self.letters = Letters(self.kept_letters, self.transaction, self.queue, self.mailer, self.clock, settings)
        self.accounts = Accounts(
            self.users,
            self.kept_sessions,
            KeptAccess(self.kept_sessions, self.kept_tokens, self.kept_letters),
            self.letters,
            self.credentials,
            self.transaction,
            self.hasher,
            self.clock,
        )
        self.second_factors = SecondFactors(
            self.kept_factors, self.credentials, self.letters, self.transaction, self.clock, settings
        )
        self.users.add("me@example.org", "Me", self.hasher.hash(PASSWORD), NOW)

    @property
    def me(self) -> User:
        return self.users.users[1]

    def change(self, **changes: object) -> User:
        self.users.change(1, **changes)
        return self.me

    def post(self) -> str:
        """Do the jobs, and return the end of the link in the one mail that they sent."""
        self.mailer.sent.clear()
        while self.queue.jobs:
            _, arguments = self.queue.jobs.pop(0)
            self.letters.send(arguments["id"])
        (mail,) = self.mailer.sent
        return next((line.rpartition("/")[2] for line in mail.text.splitlines() if line.startswith("http")), "")


@pytest.fixture
def world(settings: Settings) -> World:
    return World(settings)
