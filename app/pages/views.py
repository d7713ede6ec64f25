"""What belongs to no feature: static files and the choice of a language."""

import logging

import flask

from app.languages import LANGUAGES
from app.pages.assets import Assets, cache_control
from app.pages.redirects import safe
from app.pages.visitors import CHOICE, allow
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("pages", __name__)


@blueprint.get("/")
@allow(Permission.PUBLIC)
def home() -> flask.typing.ResponseReturnValue:
    """Show browsers the first page; programs get the API's index at the same address."""
    response = flask.redirect(flask.url_for("places.search"), 303)
    response.headers["Vary"] = "Accept"
    return response


@blueprint.get("/static/<digest>/<name>")
@allow(Permission.PUBLIC)
def asset(digest: str, name: str) -> flask.Response:
    """Send a static file."""
    assets: Assets = flask.current_app.extensions["assets"]
    found = assets.get(name)
    if found is None:
        flask.abort(404)
    response = flask.Response(found.content, content_type=found.content_type)
    response.headers["Cache-Control"] = cache_control(found, digest)
    return response


@blueprint.post("/language")
@allow(Permission.PUBLIC)
def choose_language() -> flask.typing.ResponseReturnValue:
    """Speak another language, and go on where the visitor was."""
    language = flask.request.form.get("language", "")
    if language in LANGUAGES:
        flask.session[CHOICE] = language
        flask.session.permanent = True
    return flask.redirect(safe(flask.request.form.get("next"), flask.url_for("places.search")), 303)
