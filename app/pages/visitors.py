"""Who visits, and who may see which page."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import flask
import svcs.flask
from werkzeug.wrappers import Response

from app.errors import NotAuthenticated
from app.logs.context import user_id
from app.settings import Settings
from app.web.routes import Permission
from app.web.visitors import Visit, Visitor, Visitors

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])
VisitT = TypeVar("VisitT")

CHOICE = "language"
"""Where a visitor's cookie keeps the language that they chose."""

DECLARED, LIMITED = "page_permission", "page_limit"
"""The attributes of a view that say who may see it, and how often it may be sent a form."""


def allow(permission: Permission, *, limit: str = "") -> Callable[[View], View]:
    """Say who may see a page. Every view has to: ``site`` refuses one that forgot.

    ``limit`` names the rate limit by which its forms are counted, for each address.
    """

    def declare(view: View) -> View:
        setattr(view, DECLARED, permission)
        setattr(view, LIMITED, limit)
        return view

    return declare


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """Return what a view says, if anything."""
    found: Permission | None = getattr(view, DECLARED, None)
    return found


def limit_of(view: Callable[..., Any]) -> str:
    """Return the name of the rate limit that a view's forms count for, if any."""
    return str(getattr(view, LIMITED, ""))


def cookie_name(settings: Settings) -> str:
    """Return the name of the cookie with a session's secret. The prefix makes browsers insist on Secure and Path=/."""
    return "__Host-gazetteer" if settings.secure_cookies else "gazetteer"


def visit() -> Visit | None:
    """Return who visits in which session, if somebody has logged in. Asks once a request, and only about a cookie."""
    if "visit" not in flask.g:
        flask.g.visit = recognise()
    found: Visit | None = flask.g.visit
    return found


def visitor() -> Visitor | None:
    """Return who visits, if somebody has logged in."""
    found = visit()
    return found.user if found else None


def recognise() -> Visit | None:
    """Find out who visits. A session that ended elsewhere, or is too old, ends in this browser as well."""
    secret = session_secret()
    if not secret:
        return None
    try:
        found = svcs.flask.get_abstract(Visitors).authenticate(secret)
    except NotAuthenticated:
        flask.g.session_is_over = True
        return None
    user_id.set(found.user.id)
    return cast(Visit, found)


def session_secret() -> str:
    """Return what the browser keeps to be recognised by, or an empty text."""
    return flask.request.cookies.get(cookie_name(svcs.flask.get(Settings)), "")


def signed_in(kind: type[VisitT]) -> VisitT:
    """Return who visits in which session, where the view's permission has made sure that somebody has logged in."""
    found = visit()
    if not isinstance(found, kind):
        raise NotAuthenticated("Log in first.")
    return found


def begin_session(response: Response, secret: str, expires_at: datetime) -> None:
    """Let a browser keep a session's secret. What it kept of the visit until now is gone, but for the language."""
    settings = svcs.flask.get(Settings)
    begin_visit_anew()
    flask.g.session_is_over = False
    response.set_cookie(
        cookie_name(settings),
        secret,
        expires=expires_at,
        secure=settings.secure_cookies,
        httponly=True,
        samesite="Lax",
    )


def begin_visit_anew() -> None:
    """Forget what a visitor's own cookie has, the key of their forms among it, but for the language."""
    language = flask.session.get(CHOICE)
    flask.session.clear()
    if language:
        flask.session[CHOICE] = language


def end_session(response: Response) -> None:
    """Let a browser forget it."""
    settings = svcs.flask.get(Settings)
    response.delete_cookie(cookie_name(settings), secure=settings.secure_cookies, httponly=True, samesite="Lax")
