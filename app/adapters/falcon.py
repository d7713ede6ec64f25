"""The route table on Falcon: the JSON API, and nothing else. HTML pages are Flask's."""

import logging
from collections.abc import Callable
from itertools import groupby
from types import SimpleNamespace
from wsgiref.types import WSGIApplication

import falcon
import svcs

from app.adapters.incoming import answer
from app.web.messages import Response
from app.web.problems import problem
from app.web.routes import Route, RouteTable

logger = logging.getLogger(__name__)

Responder = Callable[..., None]


def mount(routes: RouteTable, registry: svcs.Registry) -> WSGIApplication:
    """Return a Falcon application that answers ``routes``."""
    app = falcon.App()
    by_path = sorted(routes, key=lambda route: route.path)
    for path, group in groupby(by_path, key=lambda route: route.path):
        app.add_route(path, resource(list(group), registry))
    app.set_error_serializer(refuse)
    # An exception nobody expected goes to middleware.errors, the same place for every framework.
    app.add_error_handler(Exception, let_through)
    return app


def resource(routes: list[Route], registry: svcs.Registry) -> SimpleNamespace:  # type: ignore[type-arg]
    """Return what answers at one address: Falcon finds a method's responder by its name."""
    responders = {f"on_{route.method.lower()}": responder(route, registry) for route in routes}
    if "on_get" in responders:
        responders["on_head"] = responders["on_get"]  # Falcon would answer 405
    allowed = sorted({name.removeprefix("on_").upper() for name in responders} | {"OPTIONS"})

    def on_options(request: falcon.Request, response: falcon.Response, **path: str) -> None:
        response.set_header("Allow", ", ".join(allowed))

    return SimpleNamespace(**responders, on_options=on_options)


def responder(route: Route, registry: svcs.Registry) -> Responder:  # type: ignore[type-arg]
    """Return the responder of a route."""

    def respond(request: falcon.Request, response: falcon.Response, **path: str) -> None:
        if not all(path.values()):  # Falcon takes nothing at all for a value, as in /places/
            raise falcon.HTTPNotFound
        fill(response, answer(route, path, request.env, registry))

    return respond


def fill(response: falcon.Response, answered: Response) -> None:
    """Give Falcon its form of a response."""
    response.status = answered.status
    response.data = answered.body
    if answered.content_type:
        response.content_type = answered.content_type
    response.set_headers(dict(answered.headers))


def refuse(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Turn what Falcon's routing refuses (404, 405) into problem details; it has set the headers, Allow among them."""
    if allow := response.get_header("Allow"):
        response.set_header("Allow", ", ".join(sorted(allow.split(", "))))
    fill(response, problem(error.status_code))


def let_through(request: falcon.Request, response: falcon.Response, error: Exception, path: object) -> None:
    """Raise it again: what Falcon would answer is in no log of ours."""
    raise error
