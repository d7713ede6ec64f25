"""The API as it describes itself: the OpenAPI document, and a page for people made of it."""

import logging
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files
from typing import Any

from app.about import NAME, TAGLINE
from app.web.messages import json_bytes
from app.web.openapi import describe
from app.web.routes import Call, Content, NoInput, NoOutput, Permission, Route, RouteTable

logger = logging.getLogger(__name__)

JSON, HTML, CSS = "application/json", "text/html; charset=utf-8", "text/css; charset=utf-8"
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Of the page: nothing but its own style sheet."""


class Description:
    """Describes a table of routes, when it is first asked to."""

    def __init__(self, routes: RouteTable) -> None:
        self.routes = routes

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return describe(self.routes, NAME, TAGLINE)

    @cached_property
    def json(self) -> bytes:
        """The same as bytes."""
        return json_bytes(self.document)

    @cached_property
    def page(self) -> bytes:
        """The same as a page of HTML."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("docs.html").render(api=self.document).encode()

    @cached_property
    def style(self) -> bytes:
        """The page's style sheet."""
        return files(__package__).joinpath("templates", "docs.css").read_bytes()


def described(routes: RouteTable) -> RouteTable:
    """Return the routes, and those that describe them."""
    description = Description(routes)

    def row(path: str, name: str, summary: str, kind: str, body: Callable[[], bytes], **headers: str) -> Route[NoInput]:
        def endpoint(call: Call[NoInput]) -> Content:
            return Content(body(), kind, headers=headers)

        return Route(
            method="GET",
            path=f"/api/v1/{path}",
            name=name,
            summary=summary,
            permission=Permission.PUBLIC,
            input=NoInput,
            output=NoOutput,
            endpoint=endpoint,
            media_types=(kind,),
            documented=False,
        )

    policy = {"Content-Security-Policy": POLICY}
    return (
        *routes,
        row("openapi.json", "openapi", "Describe the API as OpenAPI 3.1", JSON, lambda: description.json),
        row("docs", "docs", "Describe the API on a page", HTML, lambda: description.page, **policy),
        row("docs.css", "docs.css", "Style that page", CSS, lambda: description.style),
    )
