"""The endpoints of having an account: signing up, proving an address, changing what one signs in with."""

import logging
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from app.auth.accounts import Accounts
from app.users.api import Email, Language, Name, NewPassword, UserOutput
from app.users.models import User
from app.users.utils import acceptable_password
from app.web.routes import BodyInput, Call, NoOutput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

LinkToken = Annotated[SecretStr, Field(max_length=200, description="The end of the link in a mail")]
AnyPassword = Annotated[SecretStr, Field(max_length=128)]


class SignUpInput(BodyInput):
    email: Email
    name: Name
    password: NewPassword
    language: Language | None = None

    @model_validator(mode="after")
    def _password_is_no_address(self) -> "SignUpInput":
        acceptable_password(self.password.get_secret_value(), self.email)
        return self


class AcceptedOutput(Output):
    """The same whether the address is known or not."""

    detail: str = "If a mail can be sent to this address, it is on its way."


class LinkInput(BodyInput):
    token: LinkToken


class AskResetInput(BodyInput):
    email: Email
    language: Language | None = None


class ResetInput(BodyInput):
    token: LinkToken
    password: NewPassword


class ChangePasswordInput(BodyInput):
    current: AnyPassword
    new: NewPassword


class AskEmailInput(BodyInput):
    email: Email
    password: AnyPassword


def sign_up(call: Call[SignUpInput]) -> AcceptedOutput:
    given = call.input
    call.get(Accounts).sign_up(given.email, given.name, given.password.get_secret_value(), given.language)
    return AcceptedOutput()


def verify(call: Call[LinkInput]) -> UserOutput:
    return UserOutput.of(call.get(Accounts).verify(call.input.token.get_secret_value()))


def ask_reset(call: Call[AskResetInput]) -> AcceptedOutput:
    call.get(Accounts).ask_reset(call.input.email, call.input.language)
    return AcceptedOutput()


def reset(call: Call[ResetInput]) -> NoOutput:
    given = call.input
    call.get(Accounts).reset(given.token.get_secret_value(), given.password.get_secret_value())
    return NoOutput()


def change_password(call: Call[ChangePasswordInput]) -> NoOutput:
    current, new = call.input.current.get_secret_value(), call.input.new.get_secret_value()
    call.get(Accounts).change_password(call.signed_in(User), current, new)
    return NoOutput()


def ask_email(call: Call[AskEmailInput]) -> AcceptedOutput:
    given = call.input
    call.get(Accounts).ask_email(call.signed_in(User), given.password.get_secret_value(), given.email)
    return AcceptedOutput()


def confirm_email(call: Call[LinkInput]) -> NoOutput:
    call.get(Accounts).confirm_email(call.input.token.get_secret_value())
    return NoOutput()


ROUTES: RouteTable = (
    Route(
        method="POST",
        path="/api/v1/auth/sign-ups",
        name="auth.sign-up",
        summary="Ask for an account; a mail brings the link that makes it",
        permission=Permission.PUBLIC,
        input=SignUpInput,
        output=AcceptedOutput,
        endpoint=sign_up,
        status=202,
        limit="login",
    ),
    Route(
        method="POST",
        path="/api/v1/auth/verifications",
        name="auth.verify",
        summary="Make the account, with the end of the link",
        permission=Permission.PUBLIC,
        input=LinkInput,
        output=UserOutput,
        endpoint=verify,
        status=201,
        location=lambda user: f"/api/v1/users/{user.id}",
        problems=(404, 409),
        limit="login",
    ),
    Route(
        method="POST",
        path="/api/v1/auth/password-resets",
        name="auth.reset.ask",
        summary="Ask for a new password; a mail brings the link that sets it",
        permission=Permission.PUBLIC,
        input=AskResetInput,
        output=AcceptedOutput,
        endpoint=ask_reset,
        status=202,
        limit="login",
    ),
    Route(
        method="POST",
        path="/api/v1/auth/password-resets/confirm",
        name="auth.reset",
        summary="Set the password, with the end of the link; every session and API token ends",
        permission=Permission.PUBLIC,
        input=ResetInput,
        output=NoOutput,
        endpoint=reset,
        status=204,
        problems=(404,),
        limit="login",
    ),
    Route(
        method="POST",
        path="/api/v1/users/me/password",
        name="users.me.password",
        summary="Change one's password; every session ends",
        permission=Permission.SIGNED_IN,
        input=ChangePasswordInput,
        output=NoOutput,
        endpoint=change_password,
        status=204,
    ),
    Route(
        method="POST",
        path="/api/v1/users/me/email",
        name="users.me.email",
        summary="Ask for another e-mail address; a mail to it brings the link that sets it",
        permission=Permission.SIGNED_IN,
        input=AskEmailInput,
        output=AcceptedOutput,
        endpoint=ask_email,
        status=202,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/email-changes/confirm",
        name="auth.email.confirm",
        summary="Set the address, with the end of the link",
        permission=Permission.PUBLIC,
        input=LinkInput,
        output=NoOutput,
        endpoint=confirm_email,
        status=204,
        problems=(404, 409),
        limit="login",
    ),
)
