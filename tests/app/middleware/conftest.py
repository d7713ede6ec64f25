"""A minimal application inside the middleware under test."""

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest

from app.middleware.environ import ROUTE, respond
from app.web.messages import Response

Answer = Callable[[WSGIEnvironment], Response]


@pytest.fixture
def inner() -> Callable[[Answer], WSGIApplication]:
    """Make an application from a function that answers an environ."""

    def make(answer: Answer) -> WSGIApplication:
        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ[ROUTE] = "/thing/{id}"
            return respond(answer(environ), environ, start_response)

        return application

    return make


@pytest.fixture
def hello(inner: Callable[[Answer], WSGIApplication]) -> WSGIApplication:
    return inner(lambda environ: Response(200, b'"hello"'))
