"""The endpoints of users."""

import logging
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr

from app.users.models import Role, User
from app.users.services import Users
from app.users.utils import checked_password, normalise_email
from app.web.routes import BodyInput, Call, Input, Line, NoInput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)


Email = Annotated[str, AfterValidator(normalise_email)]
NewPassword = Annotated[SecretStr, AfterValidator(checked_password)]
Name = Annotated[Line, Field(min_length=1, max_length=100, pattern=r"\S")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$", description="As browsers name it: de, pt-BR")]


class CreateUserInput(BodyInput):
    email: Email
    name: Name
    password: NewPassword


class EditSelfInput(BodyInput):
    """``language`` may be null, which is the browser's."""

    name: Name
    language: Language | None


class UserInput(Input):
    user_id: Annotated[int, Field(ge=1, le=2**31 - 1)]


class UserOutput(Output):
    id: int
    email: str
    name: str
    role: Role
    active: bool
    language: str | None
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            role=user.role,
            active=user.active,
            language=user.language,
            created_at=user.created_at,
            last_login_at=user.last_login_at,
        )


def show_user(call: Call[UserInput]) -> UserOutput:
    return UserOutput.of(call.get(Users).get(call.input.user_id, viewer=call.signed_in(User)))


def show_me(call: Call[NoInput]) -> UserOutput:
    return UserOutput.of(call.signed_in(User))


def edit_me(call: Call[EditSelfInput]) -> UserOutput:
    return UserOutput.of(call.get(Users).change_profile(call.signed_in(User), call.input.name, call.input.language))


ROUTES: RouteTable = (
    Route(
        method="GET",
        path="/api/v1/users/me",
        name="users.me",
        summary="Show who the token belongs to",
        permission=Permission.SIGNED_IN,
        input=NoInput,
        output=UserOutput,
        endpoint=show_me,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/me",
        name="users.me.edit",
        summary="Change one's name and language",
        permission=Permission.SIGNED_IN,
        input=EditSelfInput,
        output=UserOutput,
        endpoint=edit_me,
    ),
    Route(
        method="GET",
        path="/api/v1/users/{user_id}",
        name="users.show",
        summary="Show a user; nobody sees anybody else",
        permission=Permission.SIGNED_IN,
        input=UserInput,
        output=UserOutput,
        endpoint=show_user,
    ),
)
