"""The API and the pages side by side: each is an application of its own, so a program pays for nothing of the pages.

Cookies, protection of forms and the choice of a language cost as much as finding a place does.
"""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import flask

from app.pages.errors import wants_page
from app.web.routes import RouteTable

logger = logging.getLogger(__name__)

API = "/api/"
HOME = "/"
"""The one address with something for both: the API's index, and a page for browsers."""


class Front:
    """Hands each request to the one it is for. What nobody knows is the pages' to refuse."""

    def __init__(self, api: WSGIApplication, site: flask.Flask, routes: RouteTable) -> None:
        self.api = api
        self.site = site
        self.paths = frozenset(route.path for route in routes if not route.path.startswith(API))
        if odd := sorted(path for path in self.paths if "{" in path):
            raise ValueError(f"only addresses below {API} may have parameters: {', '.join(odd)}")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        is_api = path.startswith(API) or (path in self.paths and not (path == HOME and wants_page(environ)))
        return self.api(environ, start_response) if is_api else self.site(environ, start_response)
