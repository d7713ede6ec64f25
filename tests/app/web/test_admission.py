from dataclasses import replace
from typing import Any

import pytest
import svcs
from limits.storage import MemoryStorage

from app.errors import NotAllowed, NotAuthenticated
from app.logs.context import request_context
from app.scopes import Scope
from app.web.admission import admit
from app.web.limits import Rate, RateLimits, TooManyRequests
from app.web.messages import Request
from app.web.routes import Authenticator, NoInput, NoOutput, Permission, Principal, Route

PLAIN: Route[Any] = Route(
    "GET", "/x", "x", "X", Permission.PUBLIC, NoInput, NoOutput, lambda call: NoOutput(), limit="few"
)
SIGNED_IN = replace(PLAIN, permission=Permission.SIGNED_IN)
ADMIN = replace(PLAIN, permission=Permission.ADMIN)


class Somebody:
    def __init__(self, number: int) -> None:
        self.id = number
        self.admin = number == 1


class Numbers:
    def authenticate(self, token: str, scope: Scope) -> Principal:
        if not token.isdigit():
            raise NotAuthenticated("wrong token")
        return Somebody(int(token))


@pytest.fixture
def components():
    registry = svcs.Registry()
    registry.register_value(Authenticator, Numbers())
    registry.register_value(RateLimits, RateLimits({"few": Rate(2, 86400)}, MemoryStorage))
    with request_context("test"), svcs.Container(registry) as container:
        yield container


def ask(route: Route[Any], components: svcs.Container, token: str = "", address: str = "192.0.2.1") -> dict[str, str]:
    headers: dict[str, str] = {}
    admit(route, Request(address=address, headers={"authorization": f"Bearer {token}"}), components, headers)
    return headers


def test_strangers_count_by_address(components: svcs.Container) -> None:
    assert ask(PLAIN, components)["RateLimit"].startswith('"few";r=1;')
    assert ask(PLAIN, components)["RateLimit"].startswith('"few";r=0;')
    with pytest.raises(TooManyRequests):
        ask(PLAIN, components)
    assert ask(PLAIN, components, address="192.0.2.2")


def test_who_is_signed_in_counts_wherever_they_are(components: svcs.Container) -> None:
    ask(SIGNED_IN, components, "7")
    ask(SIGNED_IN, components, "7", address="192.0.2.2")
    with pytest.raises(TooManyRequests):
        ask(SIGNED_IN, components, "7", address="192.0.2.3")
    assert ask(SIGNED_IN, components, "8")


def test_wrong_tokens_count_for_the_address(components: svcs.Container) -> None:
    for token in ("a", "b"):
        with pytest.raises(NotAuthenticated):
            ask(SIGNED_IN, components, token)
    with pytest.raises(TooManyRequests):
        ask(SIGNED_IN, components, "c")


def test_only_admins_get_where_only_admins_may(components: svcs.Container) -> None:
    assert ask(ADMIN, components, "1")
    with pytest.raises(NotAllowed):
        ask(ADMIN, components, "2")
