"""The composition root: what a process of this application is made of."""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import svcs
from sqlalchemy import Engine

from app.components import build_registry
from app.database.engine import load_driver
from app.database.revisions import read_revisions
from app.database.schema import unready
from app.database.target import Target
from app.middleware.leaving import REASON, is_leaving
from app.middleware.metrics import RequestMetrics
from app.middleware.stack import wrap
from app.routes import ROUTES
from app.settings import Settings

logger = logging.getLogger(__name__)


class Application:
    """A WSGI application together with the components it owns."""

    def __init__(self, wsgi: WSGIApplication, registry: svcs.Registry) -> None:
        self.wsgi = wsgi
        self.registry = registry

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.wsgi(environ, start_response)

    def close(self) -> None:
        """Close the components of the process."""
        self.registry.close()


def create_app(settings: Settings, registry: svcs.Registry | None = None) -> Application:
    """Put the application together. Nothing is connected yet, so it may be made before workers are forked.

    A caller that wants a component of its own (a clock that stands still) passes the registry it is registered in.
    """
    registry = registry or build_registry(settings)
    load_driver(Target.of(settings))
    framework = mount_on(settings.app_framework, registry)
    with svcs.Container(registry) as components:
        metrics = components.get(RequestMetrics)
    wsgi = wrap(framework, settings, metrics, lambda: reasons_unready(registry))
    return Application(with_error_pages(settings.app_framework, wsgi, framework), registry)


def mount_on(framework: str, registry: svcs.Registry) -> WSGIApplication:
    """Mount the route table on the framework of that name, and import no other. Pages are Flask's alone."""
    if framework == "flask":
        from app.adapters import flask
        from app.blueprints import BLUEPRINTS
        from app.pages.front import Front
        from app.pages.site import add_pages

        site = flask.mount((), registry)
        add_pages(site, registry, BLUEPRINTS)
        return Front(flask.mount(ROUTES, registry), site, ROUTES)
    if framework == "falcon":
        from app.adapters import falcon

        return falcon.mount(ROUTES, registry)
    raise ValueError(f"no adapter for {framework!r}")


def with_error_pages(framework: str, wsgi: WSGIApplication, front: WSGIApplication) -> WSGIApplication:
    """Let browsers see errors as pages, where there are pages; around everything, as any part may refuse a request."""
    if framework == "flask":
        from app.pages.errors import ErrorPages
        from app.pages.front import Front

        if isinstance(front, Front):
            return ErrorPages(wsgi, front.site)
    return wsgi


def reasons_unready(registry: svcs.Registry) -> list[str]:
    """Return why this process can't serve."""
    if is_leaving():
        return [REASON]
    with svcs.Container(registry) as components:
        return unready(components.get(Engine), read_revisions())
