"""One request, start to end, whatever the framework: authenticate, validate, call, serialise, close."""

import logging
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import svcs
from sqlalchemy.exc import DBAPIError

from app.database.failures import Undone, is_undone, reason
from app.database.session import Session
from app.errors import Refused
from app.web.admission import admit
from app.web.conditional import conditional
from app.web.idempotency import once
from app.web.messages import Request, Response
from app.web.problems import BadRequest, problem_of
from app.web.routes import Call, Content, Output, Permission, Route, Upload, body_of
from app.web.validation import validate

logger = logging.getLogger(__name__)


def dispatch(route: Route[Any], request: Request, registry: svcs.Registry) -> Response:
    """Answer a request to ``route``.

    The components of the request (its database session among them) are closed before this returns, whatever happens.
    Whoever had to give in to others in the database tries once more, unless something of it has lasted already.
    Errors the caller can mend become problem details; any other exception is a bug and goes through.
    """
    notes: dict[str, str] = {}
    try:
        try:
            response = attempt(route, request, registry, notes)
        except Undone as error:
            logger.warning("tried again: %s", error)
            notes.clear()
            response = attempt(route, request, registry, notes)
    except (Refused, BadRequest) as error:
        response = problem_of(error)
    return replace(response, headers={**notes, **response.headers}) if notes else response


def attempt(route: Route[Any], request: Request, registry: svcs.Registry, notes: dict[str, str]) -> Response:
    """Carry a request out. Raises Undone when the database gave it up before anything of it was there to stay."""
    with svcs.Container(registry) as components:
        try:
            return conditional(request, respond(route, request, components, notes))
        except DBAPIError as error:
            if is_undone(error) and not components.get(Session).lasts:
                raise Undone(reason(error)) from error
            raise


def respond(route: Route[Any], request: Request, components: svcs.Container, notes: dict[str, str]) -> Response:
    """Carry a request out, and return the complete response; ``notes`` are headers of refusals, too."""
    principal = admit(route, request, components, notes)
    upload = Upload(request.body, request.media_type)
    if_match = request.headers.get("if-match", "")
    call = Call(validate(route, request), components, principal, upload, if_match)

    def act() -> Response:
        return render(route, route.endpoint(call))

    return act() if principal is None or not route.idempotent else once(route, request, call, principal, act)


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
    return Response(route.status, body_of(output), headers=headers)
