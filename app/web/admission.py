"""Who calls, whether they may, and whether they may so often."""

import logging
from typing import Any

import svcs

from app.errors import NotAllowed, NotAuthenticated
from app.logs.context import user_id
from app.web.limits import RateLimits, TooManyRequests, address_key
from app.web.messages import Request
from app.web.routes import Authenticator, Permission, Principal, Route

logger = logging.getLogger(__name__)


def admit(route: Route[Any], request: Request, components: svcs.Container, headers: dict[str, str]) -> Principal | None:
    """Return who calls, or None where anybody may; count the call, and add to ``headers`` where they stand.

    Who is signed in counts as themselves, everybody else as their address: wrong tokens have no quota of their own.
    Raises NotAuthenticated, NotAllowed and TooManyRequests.
    """
    try:
        principal = identify(route, request, components)
    except NotAuthenticated:
        count(route, None, request, components, headers)
        raise
    count(route, principal, request, components, headers)
    if route.permission is Permission.ADMIN and principal is not None and not principal.admin:
        raise NotAllowed("Only admins may do this.")
    return principal


def count(
    route: Route[Any],
    principal: Principal | None,
    request: Request,
    components: svcs.Container,
    headers: dict[str, str],
) -> None:
    """Count a call, where there is a limit. Raises TooManyRequests."""
    limits = components.get(RateLimits)
    if limits.rates.get(route.limit) is None:
        return
    who = f"user:{principal.id}" if principal else address_key(request.address)
    standing = limits.take(route.limit, who)
    if standing is None:
        return
    if not standing.allowed:
        raise TooManyRequests(standing)
    headers.update(standing.headers)


def identify(route: Route[Any], request: Request, components: svcs.Container) -> Principal | None:
    """Return who calls, or None where anybody may. Raises NotAuthenticated, and NotAllowed for a token of other use."""
    if route.permission is Permission.PUBLIC:
        return None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("Send an API token: Authorization: Bearer TOKEN.")
    authenticator: Authenticator = components.get(Authenticator)
    principal = authenticator.authenticate(token.strip(), route.scope)
    user_id.set(principal.id)
    return principal
