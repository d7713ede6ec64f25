"""Every error as problem details (RFC 9457)."""

import http
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app import errors
from app.web.messages import Response, json_bytes

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
UNNAMED = "about:blank"
STATUS_OF = {
    errors.NotFound: 404,
    errors.Stale: 412,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.Unavailable: 503,
}
DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not answer this method; the Allow header lists those it does.",
    500: "Something went wrong on our side. It has been logged under the request id.",
}


class BadRequest(Exception):
    """The request itself is at fault. ``faults`` has each one: where it is (parameter or pointer), what is wrong.

    ``kind`` is the address that names this kind of problem, ``members`` what else it says.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Mapping[str, str]] = (),
        *,
        headers: Mapping[str, str] | None = None,
        kind: str = UNNAMED,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults = status, detail, faults
        self.headers, self.kind, self.members = headers or {}, kind, members or {}


def problem(
    status: int,
    detail: str = "",
    faults: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    *,
    kind: str = UNNAMED,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Build the response for a problem of this HTTP status."""
    try:
        title = http.HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    content: dict[str, Any] = {"type": kind, "title": title, "status": status}
    content["detail"] = detail or DETAILS.get(status, title)
    content |= members or {}
    if faults:
        content["errors"] = list(faults)
    return Response(status, json_bytes(content), CONTENT_TYPE, headers or {})


def problem_of(error: errors.Refused | BadRequest) -> Response:
    """Build the response for an error that is the caller's to mend."""
    if isinstance(error, BadRequest):
        found = error
        return problem(found.status, found.detail, found.faults, found.headers, kind=found.kind, members=found.members)
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 400)
    challenge = {"WWW-Authenticate": 'Bearer realm="api"'} if status == http.HTTPStatus.UNAUTHORIZED else None
    return problem(status, str(error), headers=challenge)
