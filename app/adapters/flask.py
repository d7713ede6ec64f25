"""The route table on Flask."""

import logging
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import flask
import svcs
from werkzeug.exceptions import HTTPException

from app.about import NAME
from app.adapters.incoming import answer
from app.middleware.environ import respond
from app.web.messages import Response
from app.web.problems import problem
from app.web.routes import Route, RouteTable

logger = logging.getLogger(__name__)


def mount(routes: RouteTable, registry: svcs.Registry) -> flask.Flask:
    """Return a Flask application that answers ``routes``."""
    app = flask.Flask(NAME, static_folder=None, template_folder=None)
    # An exception nobody expected goes to middleware.errors, the same place for every framework.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    for route in routes:
        rule = route.path.replace("{", "<").replace("}", ">")
        endpoint = route.name.replace(".", ":")  # with a dot Flask takes it for one of a blueprint's, which pages are
        app.add_url_rule(rule, endpoint=endpoint, view_func=view(route, registry), methods=[route.method])
    app.register_error_handler(HTTPException, refuse)
    return app


def view(route: Route, registry: svcs.Registry) -> Callable[..., flask.Response]:  # type: ignore[type-arg]
    """Return the view function of a route."""

    def view_function(**path: str) -> flask.Response:
        return Outgoing(answer(route, path, flask.request.environ, registry))

    return view_function


class Outgoing(flask.Response):
    """A complete response in Flask's clothes. Flask changes it no more, so headers are not written twice."""

    def __init__(self, answered: Response) -> None:
        super().__init__(status=answered.status)
        self.answered = answered

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return respond(self.answered, environ, start_response)


def refuse(error: HTTPException) -> flask.Response:
    """Turn what Flask's routing refuses (404, 405, redirects) into problem details, keeping its headers."""
    code = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Location"}}
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return Outgoing(problem(code, headers=headers))
