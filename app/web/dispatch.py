"""One request, start to end, whatever the framework: authenticate, validate, call, serialise, close."""

import logging
from typing import Any
from urllib.parse import quote

import svcs

from app.errors import NotAllowed, NotAuthenticated, Refused
from app.logs.context import user_id
from app.web.conditional import conditional
from app.web.messages import Request, Response
from app.web.problems import BadRequest, problem_of
from app.web.routes import Authenticator, Call, Content, Output, Permission, Principal, Route, Upload
from app.web.validation import validate

logger = logging.getLogger(__name__)


def dispatch(route: Route[Any], request: Request, registry: svcs.Registry) -> Response:
    """Answer a request to ``route``.

    The components of the request (its database session among them) are closed before this returns, whatever happens.
    Errors the caller can mend become problem details; any other exception is a bug and goes through.
    """
    try:
        with svcs.Container(registry) as components:
            principal = identify(route, request, components)
            upload = Upload(request.body, request.media_type)
            given, if_match = validate(route, request), request.headers.get("if-match", "")
            output = route.endpoint(Call(given, components, principal, upload, if_match))
    except (Refused, BadRequest) as error:
        return problem_of(error)
    return conditional(request, render(route, output))


def identify(route: Route[Any], request: Request, components: svcs.Container) -> Principal | None:
    """Return who calls, or None where anybody may. Raises NotAuthenticated and NotAllowed."""
    if route.permission is Permission.PUBLIC:
        return None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("Send an API token: Authorization: Bearer TOKEN.")
    authenticator: Authenticator = components.get(Authenticator)
    principal = authenticator.authenticate(token.strip(), route.scope)
    user_id.set(principal.id)
    if route.permission is Permission.ADMIN and not principal.admin:
        raise NotAllowed("Only admins may do this.")
    return principal


def render(route: Route[Any], output: Output | Content) -> Response:
    """Return the complete response for what an endpoint returned."""
    headers = {"Cache-Control": "no-cache"} if route.permission is Permission.PUBLIC else {}
    if isinstance(output, Content):
        if output.media_type not in route.media_types:
            raise TypeError(f"{route.name} returned {output.media_type}; its media_types are {route.media_types}")
        if output.filename:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(output.filename, safe='')}"
        return Response(route.status, output.body, output.media_type, headers | dict(output.headers))
    if route.location:
        headers["Location"] = route.location(output)
    if tag := output.entity_tag():
        headers["ETag"] = tag
    if route.status == 204:
        return Response(204, b"", "", headers)
    return Response(route.status, output.model_dump_json().encode() + b"\n", headers=headers)
