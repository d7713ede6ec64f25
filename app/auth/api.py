"""The endpoints of authentication."""

import logging
from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from app.auth.services import Tokens
from app.web.routes import BodyInput, Call, Line, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)


class CreateTokenInput(BodyInput):
    email: Annotated[str, Field(max_length=254)]
    password: Annotated[SecretStr, Field(max_length=128)]
    name: Annotated[Line, Field(min_length=1, max_length=100)] = "API"


class TokenOutput(Output):
    """``token`` is shown this once."""

    token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of the scheme
    expires_at: datetime


def create_token(call: Call[CreateTokenInput]) -> TokenOutput:
    given = call.input
    issued = call.get(Tokens).log_in(given.email, given.password.get_secret_value(), given.name)
    return TokenOutput(token=issued.secret, expires_at=issued.expires_at)


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
        problems=(401,),
    ),
)
