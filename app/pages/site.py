"""Put the pages on a Flask application: settings, templates, protection of forms, and what each request begins with."""

import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import flask
import jinja2
import svcs
import svcs.flask
from flask_wtf import CSRFProtect
from werkzeug.routing import IntegerConverter, Map

from app.errors import NotAllowed, NotAuthenticated, Refused
from app.languages import DEFAULT, LANGUAGES, current_language, gettext, messages, pgettext, preferred, speak
from app.middleware.environ import ROUTE
from app.pages import formats
from app.pages.assets import Asset, Assets
from app.pages.menu import menu
from app.pages.policy import HEADERS
from app.pages.views import blueprint as shared
from app.pages.visitors import CHOICE, end_session, limit_of, permission_of, visitor
from app.settings import Settings
from app.web.limits import RateLimits, TooManyRequests, address_key
from app.web.problems import BadRequest, problem_of
from app.web.routes import Permission

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]


class IdConverter(IntegerConverter):
    """``<id:place_id>``: a number that fits into a column. With a larger one there is nothing."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, min=1, max=2**31 - 1)


def add_pages(app: flask.Flask, registry: svcs.Registry, blueprints: Sequence[flask.Blueprint]) -> None:
    """Add pages to an application that has nothing yet but what it answers to what it does not know."""
    with svcs.Container(registry) as components:
        settings = components.get(Settings)
    configure(app, settings)
    svcs.flask.init_app(app, registry=registry)
    app.extensions["assets"] = Assets(PACKAGE / "static")
    prepare_templates(app)
    app.before_request(begin)
    CSRFProtect(app)
    app.before_request(admit)
    app.after_request(finish)
    app.url_map.converters["id"] = IdConverter
    for blueprint in (shared, *blueprints):
        app.register_blueprint(blueprint)
    silent = [name for name, view in app.view_functions.items() if not permission_of(view)]
    if silent:
        raise LookupError(f"pages that don't say who may see them: {', '.join(sorted(silent))}")
    app.register_error_handler(NotAuthenticated, ask_to_log_in)
    app.register_error_handler(Refused, refuse)
    app.register_error_handler(BadRequest, refuse)


def configure(app: flask.Flask, settings: Settings) -> None:
    """Tell Flask and Flask-WTF what they need to know."""
    app.secret_key = settings.secret_key.get_secret_value()
    app.config.update(
        SESSION_COOKIE_NAME="__Host-visit" if settings.secure_cookies else "visit",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=30),
        WTF_CSRF_TIME_LIMIT=None,  # as long as the visit: a page may stay open overnight
    )


def prepare_templates(app: flask.Flask) -> None:
    """Let templates speak, and know what every page shows. A name that nobody gave them is an error, not a gap."""
    app.template_folder = str(PACKAGE / "templates")
    app.jinja_options = {
        "extensions": ["jinja2.ext.i18n"],
        "undefined": jinja2.StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    app.jinja_env.filters.update(formats.FILTERS)
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext, lambda one, many, number: messages().ngettext(one, many, number), newstyle=True, pgettext=pgettext
    )
    app.jinja_env.globals.update(asset=address_of_asset, here=here, languages=LANGUAGES, menu=menu)
    app.context_processor(lambda: {"language": current_language(), "visitor": visitor()})


def begin() -> None:
    """Before a page: name it for logs and metrics, and find out which language to speak."""
    if not is_page():
        return
    rule = flask.request.url_rule
    flask.request.environ[ROUTE] = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule if rule else "")
    speak(language_of_visit())


def is_page() -> bool:
    """Say whether a page answers, and not the refusal of an address that none has."""
    return flask.request.blueprint is not None


def language_of_visit() -> str:
    """Return the language that was chosen on this very computer, or in the account, or in the browser's settings."""
    if flask.request.endpoint == "pages.asset":
        return DEFAULT
    person = visitor()
    chosen = flask.session.get(CHOICE) or (person.language if person else None)
    return chosen or preferred(flask.request.headers.get("Accept-Language", ""))


def admit() -> None:
    """Let only those see a page who may."""
    if not is_page() or flask.request.endpoint is None:
        return
    view = flask.current_app.view_functions[flask.request.endpoint]
    if flask.request.method == "POST":
        count(limit_of(view))
    permission = permission_of(view)
    person = None if permission is Permission.PUBLIC else visitor()
    if permission is not Permission.PUBLIC and person is None:
        raise NotAuthenticated("Log in first.")
    if permission is Permission.ADMIN and not (person and person.admin):
        raise NotAllowed("Only admins may see this.")


def count(limit: str) -> None:
    """Count a form for its address. Raises TooManyRequests."""
    standing = svcs.flask.get(RateLimits).take(limit, address_key(flask.request.remote_addr or "")) if limit else None
    if standing is not None and not standing.allowed:
        raise TooManyRequests(standing)


def finish(response: flask.Response) -> flask.Response:
    """After a page: say what browsers may do with it, and end sessions that are over."""
    if is_page():
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if flask.g.get("session_is_over"):
            end_session(response)
    return response


def ask_to_log_in(error: Exception) -> flask.typing.ResponseReturnValue:
    """Lead to the log-in page, and from there back."""
    if flask.request.method == "GET":
        return flask.redirect(flask.url_for("auth.log_in", next=here()), 303)
    return flask.redirect(flask.url_for("auth.log_in"), 303)


def refuse(error: Refused | BadRequest) -> flask.Response:
    """Answer what a use case refused and the view did not expect; ``ErrorPages`` makes a page of it."""
    told = problem_of(error)
    return flask.Response(told.body, told.status, {**told.headers}, content_type=told.content_type)


def address_of_asset(name: str) -> str:
    """Return where a static file is."""
    found: Asset = flask.current_app.extensions["assets"][name]
    return flask.url_for("pages.asset", digest=found.digest, name=name)


def here() -> str:
    """Return the address of this page, to come back to."""
    if flask.request.method != "GET":
        return flask.url_for("places.search")
    return flask.request.full_path.removesuffix("?")
