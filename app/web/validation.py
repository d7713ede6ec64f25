"""From what was sent to a route's input model, or to a list of everything that is wrong with it."""

import json
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from app.web.messages import Request
from app.web.problems import BadRequest
from app.web.routes import Route

logger = logging.getLogger(__name__)


def validate(route: Route[Any], request: Request) -> Any:
    """Return the route's input model. Raises BadRequest with every fault."""
    in_body = route.has_json_body
    if in_body:
        data = parse_body(request)
    else:
        data = {name: values[0] if len(values) == 1 else list(values) for name, values in request.query.items()}
    if route.uploads and request.media_type not in route.uploads:
        raise BadRequest(415, f"Send one of these, and say which by Content-Type: {', '.join(route.uploads)}.")
    try:
        return route.input.model_validate({**data, **request.path})
    except ValidationError as error:
        _refuse(error, in_body=in_body, path=request.path)


def _refuse(error: ValidationError, *, in_body: bool, path: Mapping[str, str]) -> NoReturn:
    faults = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = [str(part) for part in item["loc"]]
        in_parameter = not in_body or (where and where[0] in path)
        place = {"parameter": ".".join(where)} if in_parameter else {"pointer": "#" + "".join(f"/{p}" for p in where)}
        faults.append({**place, "detail": item["msg"].removeprefix("Value error, ")})
    raise BadRequest(422, "Some of what you sent can't be used; errors has each one.", faults)


def parse_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body. Raises BadRequest: 415 not JSON, 400 malformed, 422 not an object."""
    if request.media_type != "application/json" and not request.media_type.endswith("+json"):
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
