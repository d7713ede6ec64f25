"""The pages by which one comes in and goes out: log in, its second factor, log out."""

import logging

import flask
import svcs.flask
from werkzeug.wrappers import Response
from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from app.auth.models import Client, IssuedSession, SecondFactorNeeded
from app.auth.sessions import Sessions
from app.errors import NotAuthenticated
from app.languages import gettext, lazy_gettext
from app.pages.forms import Form
from app.pages.redirects import safe
from app.pages.visitors import allow, begin_session, begin_visit_anew, end_session, session_secret, visitor
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("auth", __name__)

TICKET = "ticket"
"""Where the visitor's cookie keeps what stands for a password that was right, until the code came."""


class LogInForm(Form):
    """What somebody proves themselves with."""

    email = EmailField(
        lazy_gettext("E-mail address"), [InputRequired(), Length(max=254)], render_kw={"autocomplete": "username"}
    )
    password = PasswordField(
        lazy_gettext("Password"), [InputRequired(), Length(max=128)], render_kw={"autocomplete": "current-password"}
    )
    next = HiddenField()


class CodeForm(Form):
    """A code of six digits, or one for emergencies."""

    code = StringField(
        lazy_gettext("Code"),
        [InputRequired(), Length(max=40)],
        description=lazy_gettext("Six digits, or a recovery code."),
        render_kw={"autocomplete": "one-time-code", "class": "code", "autocapitalize": "none", "spellcheck": "false"},
    )
    next = HiddenField()


@blueprint.route("/log-in", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def log_in() -> flask.typing.ResponseReturnValue:
    """Log in with a password; on to the second factor, where there is one."""
    form = LogInForm(next=flask.request.args.get("next"))
    if flask.request.method == "GET" and visitor():
        return flask.redirect(safe(form.next.data, flask.url_for("places.search")), 303)
    problem = None
    if form.validate_on_submit():
        try:
            issued = svcs.flask.get(Sessions).log_in(
                form.email.data or "", form.password.data or "", client(), previous=session_secret() or None
            )
        except SecondFactorNeeded as needed:
            flask.session[TICKET] = needed.ticket
            return flask.redirect(flask.url_for("auth.second_factor", next=form.next.data), 303)
        except NotAuthenticated:
            problem = gettext("This e-mail address and this password don't belong together.")
        else:
            return welcome(issued, form.next.data)
    page = flask.render_template("auth/log_in.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/log-in/code", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def second_factor() -> flask.typing.ResponseReturnValue:
    """Give the code that the authenticator shows. Without a password just before, begin at the beginning."""
    ticket = flask.session.get(TICKET)
    if not ticket:
        return flask.redirect(flask.url_for("auth.log_in"), 303)
    form = CodeForm(next=flask.request.args.get("next"))
    problem = None
    if form.validate_on_submit():
        try:
            issued = svcs.flask.get(Sessions).log_in_with_code(
                ticket, form.code.data or "", client(), previous=session_secret() or None
            )
        except NotAuthenticated:
            problem = gettext("This code is not right, or too old. Wait for the next one.")
        else:
            return welcome(issued, form.next.data)
    page = flask.render_template("auth/second_factor.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.post("/log-out")
@allow(Permission.PUBLIC)
def log_out() -> Response:
    """End this session, here and on the server."""
    if secret := session_secret():
        svcs.flask.get(Sessions).log_out(secret)
    begin_visit_anew()
    flask.flash(gettext("You have logged out."), "good")
    response = flask.redirect(flask.url_for("places.search"), 303)
    end_session(response)
    return response


def welcome(issued: IssuedSession, target: str | None) -> Response:
    """Begin a session in this browser, and go on to where somebody wanted to be."""
    response = flask.redirect(safe(target, flask.url_for("places.search")), 303)
    begin_session(response, issued.secret, issued.expires_at)
    return response


def client() -> Client:
    """Return what the list of sessions will show of this browser."""
    return Client(flask.request.remote_addr or "", flask.request.user_agent.string)
