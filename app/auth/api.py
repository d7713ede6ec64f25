"""The endpoints of authentication."""

import logging
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, SecretStr

from app.auth.models import DEFAULT_SCOPES, ApiToken, Session
from app.auth.services import Tokens
from app.auth.sessions import Sessions
from app.scopes import Scope
from app.users.models import User
from app.web.routes import (
    BodyInput,
    Call,
    Input,
    Line,
    NoInput,
    NoOutput,
    Output,
    Permission,
    Route,
    RouteTable,
)

logger = logging.getLogger(__name__)


class CreateTokenInput(BodyInput):
    email: Annotated[str, Field(max_length=254)]
    password: Annotated[SecretStr, Field(max_length=128)]
    name: Annotated[Line, Field(min_length=1, max_length=100)] = "API"
    code: Annotated[
        SecretStr | None, Field(max_length=20, description="Of the second factor, for those who have one")
    ] = None
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = DEFAULT_SCOPES
    days: Annotated[int | None, Field(ge=1, le=366, description="Until it expires, if that is sooner than usual")] = (
        None
    )


class TokenOutput(Output):
    """``token`` is shown this once."""

    token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of the scheme
    expires_at: datetime
    scopes: list[Scope]


class TokenEntry(Output):
    """What is known of a token; the token itself isn't."""

    id: int
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, token: ApiToken) -> Self:
        return cls(
            id=token.id,
            name=token.name,
            scopes=sorted(token.scopes),
            created_at=token.created_at,
            expires_at=token.expires_at,
        )


class TokensOutput(Output):
    items: list[TokenEntry]


class TokenInput(Input):
    token_id: Annotated[int, Field(ge=1, le=2**31 - 1)]


class SessionEntry(Output):
    """A browser that is signed in."""

    id: int
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, session: Session) -> Self:
        return cls(
            id=session.id,
            address=session.client.address,
            user_agent=session.client.user_agent,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
        )


class SessionsOutput(Output):
    items: list[SessionEntry]


class SessionInput(Input):
    session_id: Annotated[int, Field(ge=1, le=2**31 - 1)]


def create_token(call: Call[CreateTokenInput]) -> TokenOutput:
    given = call.input
    issued = call.get(Tokens).log_in(
        given.email,
        given.password.get_secret_value(),
        given.name,
        given.code.get_secret_value() if given.code else None,
        scopes=given.scopes,
        days=given.days,
    )
    return TokenOutput(token=issued.secret, expires_at=issued.expires_at, scopes=sorted(issued.scopes))


def list_tokens(call: Call[NoInput]) -> TokensOutput:
    return TokensOutput(items=[TokenEntry.of(token) for token in call.get(Tokens).of(call.signed_in(User))])


def revoke_token(call: Call[TokenInput]) -> NoOutput:
    call.get(Tokens).revoke(call.signed_in(User), call.input.token_id)
    return NoOutput()


def list_sessions(call: Call[NoInput]) -> SessionsOutput:
    found = call.get(Sessions).of(call.signed_in(User))
    return SessionsOutput(items=[SessionEntry.of(session) for session in found])


def revoke_session(call: Call[SessionInput]) -> NoOutput:
    call.get(Sessions).revoke(call.signed_in(User), call.input.session_id)
    return NoOutput()


ROUTES: RouteTable = (
    Route(
        method="POST",
        path="/api/v1/auth/tokens",
        name="auth.tokens.create",
        summary="Log in with e-mail address and password; returns an API token",
        permission=Permission.PUBLIC,
        input=CreateTokenInput,
        output=TokenOutput,
        endpoint=create_token,
        status=201,
        problems=(401, 403),
        limit="login",
    ),
    Route(
        method="GET",
        path="/api/v1/auth/tokens",
        name="auth.tokens.list",
        summary="List one's API tokens",
        permission=Permission.SIGNED_IN,
        input=NoInput,
        output=TokensOutput,
        endpoint=list_tokens,
    ),
    Route(
        method="DELETE",
        path="/api/v1/auth/tokens/{token_id}",
        name="auth.tokens.revoke",
        summary="Make one of one's API tokens useless",
        permission=Permission.SIGNED_IN,
        input=TokenInput,
        output=NoOutput,
        endpoint=revoke_token,
        status=204,
        problems=(404,),
    ),
    Route(
        method="GET",
        path="/api/v1/auth/sessions",
        name="auth.sessions.list",
        summary="List the browsers in which one is signed in",
        permission=Permission.SIGNED_IN,
        input=NoInput,
        output=SessionsOutput,
        endpoint=list_sessions,
    ),
    Route(
        method="DELETE",
        path="/api/v1/auth/sessions/{session_id}",
        name="auth.sessions.revoke",
        summary="Sign one of these browsers out",
        permission=Permission.SIGNED_IN,
        input=SessionInput,
        output=NoOutput,
        endpoint=revoke_session,
        status=204,
        problems=(404,),
    ),
)
