"""API tokens, sessions and whoever they belong to, as plain values."""

import logging
from dataclasses import dataclass, field
from datetime import datetime

from app.errors import NotAuthenticated
from app.scopes import Scope
from app.users.models import User

logger = logging.getLogger(__name__)

DEFAULT_SCOPES = frozenset({Scope.READ, Scope.WRITE})


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is kept of a token: a digest, from which the token can't be had back. ``id`` is given when it is added."""

    user_id: int
    name: str
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    id: int = 0


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. ``secret`` is shown once, to its owner, and kept nowhere."""

    secret: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[Scope] = DEFAULT_SCOPES


@dataclass(frozen=True, slots=True)
class Client:
    """Where a log-in comes from, as its owner will see it in the list of their sessions."""

    address: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in. Of its secret a digest is kept. ``id`` is given when it is added."""

    user_id: int
    digest: str = field(repr=False)
    client: Client
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    id: int = 0


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """A new session. ``secret`` goes into the browser's cookie and is kept nowhere."""

    secret: str = field(repr=False)
    expires_at: datetime
    user: User


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who makes a request, and in which of their sessions."""

    user: User
    session: Session


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What an authenticator and we both know. It counts once its owner has confirmed it."""

    user_id: int
    secret: str = field(repr=False)
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret for an authenticator, and the URI that it reads from a picture."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class SecondFactorNeeded(NotAuthenticated):
    """The password was right and a code is needed, too. ``ticket`` stands for the password for a few minutes."""

    def __init__(self, ticket: str) -> None:
        super().__init__("Send the code that your authenticator shows, too.")
        self.ticket = ticket
