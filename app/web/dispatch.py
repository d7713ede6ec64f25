"""One request, start to end, whatever the framework: authenticate, validate, call, serialise, close."""

import json
import logging
from typing import Any, NoReturn

import svcs
from pydantic import ValidationError

from app.errors import NotAuthenticated, Refused
from app.logs.context import user_id
from app.web.messages import Request, Response, json_bytes
from app.web.problems import BadRequest, problem_of
from app.web.routes import Authenticator, Call, Permission, Principal, Route

logger = logging.getLogger(__name__)


def dispatch(route: Route[Any], request: Request, registry: svcs.Registry) -> Response:
    """Answer a request to ``route``.

    The components of the request (its database session among them) are closed before this returns, whatever happens.
    Errors the caller can mend become problem details; any other exception is a bug and goes through.
    """
    try:
        with svcs.Container(registry) as components:
            principal = identify(route.permission, request, components)
            output = route.endpoint(Call(validate(route, request), components, principal))
    except (Refused, BadRequest) as error:
        return problem_of(error)
    headers = {"Location": route.location(output)} if route.location else {}
    return Response(route.status, json_bytes(output.model_dump(mode="json")), headers=headers)


def identify(permission: Permission, request: Request, components: svcs.Container) -> Principal | None:
    """Return who calls, or None where anybody may. Raises NotAuthenticated."""
    if permission is Permission.PUBLIC:
        return None
    scheme, _, token = request.authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("Send an API token: Authorization: Bearer TOKEN.")
    authenticator: Authenticator = components.get(Authenticator)
    principal = authenticator.authenticate(token.strip())
    user_id.set(principal.id)
    return principal


def validate(route: Route[Any], request: Request) -> Any:
    """Return the route's input model. Raises BadRequest with every fault."""
    if route.has_body:
        data = parse_body(request)
    else:
        data = {name: values[0] if len(values) == 1 else list(values) for name, values in request.query.items()}
    try:
        return route.input.model_validate({**data, **request.path})
    except ValidationError as error:
        _refuse(error, in_body=route.has_body, path=request.path)


def _refuse(error: ValidationError, *, in_body: bool, path: Any) -> NoReturn:
    faults = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = [str(part) for part in item["loc"]]
        in_parameter = not in_body or (where and where[0] in path)
        place = {"parameter": ".".join(where)} if in_parameter else {"pointer": "#" + "".join(f"/{p}" for p in where)}
        faults.append({**place, "detail": item["msg"].removeprefix("Value error, ")})
    raise BadRequest(422, "Some of what you sent can't be used; errors has each one.", faults)


def parse_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body. Raises BadRequest: 415 not JSON, 400 malformed, 422 not an object."""
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadRequest(415, "Send JSON, with Content-Type: application/json.")
    try:
        data = json.loads(request.body.decode("utf-8"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise BadRequest(400, f"The body is not JSON: {error.msg} at {place}.") from None
    except (ValueError, RecursionError) as error:
        # Not UTF-8, NaN, a number of thousands of digits, thousands of nested arrays.
        raise BadRequest(400, f"The body is not JSON that can be read: {type(error).__name__}.") from None
    if not isinstance(data, dict):
        raise BadRequest(422, "The body must be a JSON object.", [{"pointer": "#", "detail": "not an object"}])
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
