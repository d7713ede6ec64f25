"""The endpoints of second factors."""

import logging
from typing import Annotated

from pydantic import Field, SecretStr

from app.auth.second_factors import SecondFactors
from app.users.models import User
from app.web.routes import BodyInput, Call, NoInput, NoOutput, Output, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

PATH = "/api/v1/auth/second-factor"


class PasswordInput(BodyInput):
    password: Annotated[SecretStr, Field(max_length=128)]


class CodeInput(BodyInput):
    code: Annotated[SecretStr, Field(max_length=40)]


class SecondFactorOutput(Output):
    on: bool
    recovery_codes_left: int


class EnrolmentOutput(Output):
    """``secret`` and ``uri`` say the same: to be typed into an authenticator, or shown to it as a picture."""

    secret: str
    uri: str


class RecoveryCodesOutput(Output):
    """Each is good once instead of a code; they are shown this once."""

    recovery_codes: list[str]


def show(call: Call[NoInput]) -> SecondFactorOutput:
    factors, user = call.get(SecondFactors), call.signed_in(User)
    return SecondFactorOutput(on=factors.is_on(user), recovery_codes_left=factors.recovery_codes_left(user))


def begin(call: Call[PasswordInput]) -> EnrolmentOutput:
    begun = call.get(SecondFactors).begin(call.signed_in(User), call.input.password.get_secret_value())
    return EnrolmentOutput(secret=begun.secret, uri=begun.uri)


def confirm(call: Call[CodeInput]) -> RecoveryCodesOutput:
    codes = call.get(SecondFactors).confirm(call.signed_in(User), call.input.code.get_secret_value())
    return RecoveryCodesOutput(recovery_codes=codes)


def renew_codes(call: Call[PasswordInput]) -> RecoveryCodesOutput:
    password = call.input.password.get_secret_value()
    return RecoveryCodesOutput(
        recovery_codes=call.get(SecondFactors).new_recovery_codes(call.signed_in(User), password)
    )


def turn_off(call: Call[PasswordInput]) -> NoOutput:
    call.get(SecondFactors).turn_off(call.signed_in(User), call.input.password.get_secret_value())
    return NoOutput()


ROUTES: RouteTable = (
    Route(
        method="GET",
        path=PATH,
        name="auth.second-factor.show",
        summary="Say whether logging in takes a code",
        permission=Permission.SIGNED_IN,
        input=NoInput,
        output=SecondFactorOutput,
        endpoint=show,
    ),
    Route(
        method="POST",
        path=PATH,
        name="auth.second-factor.begin",
        summary="Get a secret for an authenticator; it counts once it is confirmed",
        permission=Permission.SIGNED_IN,
        input=PasswordInput,
        output=EnrolmentOutput,
        endpoint=begin,
        limit="login",
    ),
    Route(
        method="POST",
        path=f"{PATH}/confirm",
        name="auth.second-factor.confirm",
        summary="Turn the second factor on with a code; returns recovery codes",
        permission=Permission.SIGNED_IN,
        input=CodeInput,
        output=RecoveryCodesOutput,
        endpoint=confirm,
        limit="login",
    ),
    Route(
        method="POST",
        path=f"{PATH}/recovery-codes",
        name="auth.second-factor.renew",
        summary="Get new recovery codes instead of those from before",
        permission=Permission.SIGNED_IN,
        input=PasswordInput,
        output=RecoveryCodesOutput,
        endpoint=renew_codes,
        limit="login",
    ),
    Route(
        method="POST",
        path=f"{PATH}/off",
        name="auth.second-factor.off",
        summary="Turn the second factor off",
        permission=Permission.SIGNED_IN,
        input=PasswordInput,
        output=NoOutput,
        endpoint=turn_off,
        status=204,
        limit="login",
    ),
)
