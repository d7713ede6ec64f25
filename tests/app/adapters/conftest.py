"""A few routes, mounted as each adapter does it."""

from collections.abc import Callable

import pytest
import svcs
from limits.storage import MemoryStorage
from werkzeug.test import Client

from app.adapters import falcon, flask
from app.web.limits import RateLimits
from app.web.routes import Call, Input, NoInput, Output, Permission, Route

Mounted = Callable[[str], Client]
MOUNTS = {"flask": flask.mount, "falcon": falcon.mount}


class Words(Input):
    word: str
    extra: str = ""


class Said(Output):
    said: str


def say(call: Call[Words]) -> Said:
    return Said(said=f"{call.input.word}{call.input.extra}")


def fail(call: Call[NoInput]) -> Said:
    raise RuntimeError("bug")


@pytest.fixture
def mounted() -> Mounted:
    routes = (
        Route("GET", "/say/{word}", "say", "Say", Permission.PUBLIC, Words, Said, say),
        Route("POST", "/say/{word}", "say.post", "Say", Permission.PUBLIC, Words, Said, say),
        Route("GET", "/fail", "fail", "Fail", Permission.PUBLIC, NoInput, Said, fail),
    )
    registry = svcs.Registry()
    registry.register_value(RateLimits, RateLimits({}, MemoryStorage))
    return lambda framework: Client(MOUNTS[framework](routes, registry))
