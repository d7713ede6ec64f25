"""The pages of one's own account: who one is, what one logs in with, and where one is logged in."""

import logging
from collections.abc import Iterator
from typing import Any

import flask
import svcs.flask
from werkzeug.wrappers import Response
from wtforms import EmailField, IntegerField, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from app.auth.accounts import Accounts
from app.auth.letter_views import PasswordForm
from app.auth.models import IssuedToken, SignedIn
from app.auth.services import Tokens
from app.auth.sessions import Sessions
from app.errors import Invalid, NotAllowed
from app.languages import LANGUAGES, gettext, lazy_gettext, preferred, speak
from app.pages.forms import Form, OneLine
from app.pages.visitors import CHOICE, allow, begin_session, signed_in
from app.scopes import Scope
from app.settings import Settings
from app.users.models import User
from app.users.services import Users
from app.users.utils import LONGEST_EMAIL
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("account", __name__, url_prefix="/account")

SCOPES = {
    Scope.READ: lazy_gettext("Read what is mine"),
    Scope.WRITE: lazy_gettext("Change what is mine"),
    Scope.ADMIN: lazy_gettext("See and change other users"),
}
"""What API tokens may be used for, in words."""


def current_password_field() -> PasswordField:
    """Return a field for the password that somebody has."""
    return PasswordField(
        lazy_gettext("Current password"),
        [InputRequired(), Length(max=128)],
        render_kw={"autocomplete": "current-password"},
    )


class ProfileForm(Form):
    """Who one is."""

    name = StringField(
        lazy_gettext("Name"), [InputRequired(), Length(max=100), OneLine()], render_kw={"autocomplete": "name"}
    )
    language = SelectField(lazy_gettext("Language"))


class ChangePasswordForm(PasswordForm):
    """Another password, by somebody who knows theirs."""

    current = current_password_field()

    def __iter__(self) -> Iterator[Any]:
        """Give the fields in the order in which they are asked for."""
        return iter((self.current, self.password, self.again))


class ChangeEmailForm(Form):
    """Another address."""

    email = EmailField(
        lazy_gettext("New e-mail address"),
        [InputRequired(), Length(max=LONGEST_EMAIL)],
        render_kw={"autocomplete": "email"},
    )
    current = current_password_field()


class TokenForm(Form):
    """A new API token."""

    name = StringField(
        lazy_gettext("Name"),
        [InputRequired(), Length(max=100), OneLine()],
        description=lazy_gettext("What it is for: you will see it in the list."),
    )
    scopes = SelectMultipleField(
        lazy_gettext("It may"), [InputRequired()], widget=ListWidget(prefix_label=False), option_widget=CheckboxInput()
    )
    days = IntegerField(lazy_gettext("Days until it expires"), [Optional(), NumberRange(1, 366)])


@blueprint.route("", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def show() -> flask.typing.ResponseReturnValue:
    """Show one's account, and change one's name and language."""
    user = me()
    form = ProfileForm(data={"name": user.name, "language": user.language or ""})
    form.language.choices = [("", gettext("As my browser says")), *LANGUAGES.items()]
    if form.validate_on_submit():
        svcs.flask.get(Users).change_profile(user, form.name.data, form.language.data or None)
        flask.session.pop(CHOICE, None)
        speak(form.language.data or preferred(flask.request.headers.get("Accept-Language", "")))
        flask.flash(gettext("Saved."), "good")
        return flask.redirect(flask.url_for("account.show"), 303)
    page = flask.render_template("auth/account.html", form=form, problem=None, user=user)
    return page, 422 if form.errors else 200


@blueprint.route("/password", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def change_password() -> flask.typing.ResponseReturnValue:
    """Set another password. Every other session ends, and this one gets another secret."""
    visit, form, problem = signed_in(SignedIn), ChangePasswordForm(), None
    if form.validate_on_submit():
        try:
            svcs.flask.get(Accounts).change_password(visit, form.current.data, form.password.data)
        except NotAllowed:
            problem = gettext("That is not your password, or there were too many attempts.")
        except Invalid:
            problem = gettext("The password must not be your e-mail address.")
        else:
            return renewed(visit, gettext("Your password is changed. Every other session has ended."))
    page = flask.render_template("auth/change_password.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/email", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def change_email() -> flask.typing.ResponseReturnValue:
    """Ask for another address: it counts when its letter was answered."""
    form, problem = ChangeEmailForm(), None
    if form.validate_on_submit():
        try:
            svcs.flask.get(Accounts).ask_email(me(), form.current.data, form.email.data)
            return flask.render_template("auth/letter_sent.html", address=form.email.data)
        except NotAllowed:
            problem = gettext("That is not your password, or there were too many attempts.")
        except Invalid:
            problem = gettext("This is no e-mail address.")
    page = flask.render_template("auth/change_email.html", form=form, problem=problem, user=me())
    return page, 422 if problem or form.errors else 200


@blueprint.get("/sessions")
@allow(Permission.SIGNED_IN)
def sessions() -> str:
    """List where one is logged in."""
    visit = signed_in(SignedIn)
    found = svcs.flask.get(Sessions).of(visit.user)
    return flask.render_template("auth/sessions.html", sessions=found, current=visit.session.id)


@blueprint.post("/sessions/<id:session_id>/end")
@allow(Permission.SIGNED_IN)
def end_one(session_id: int) -> Response:
    """End one of one's sessions."""
    svcs.flask.get(Sessions).revoke(me(), session_id)
    flask.flash(gettext("That session has ended."), "good")
    return flask.redirect(flask.url_for("account.sessions"), 303)


@blueprint.post("/sessions/end-others")
@allow(Permission.SIGNED_IN)
def end_others() -> Response:
    """End every session but this one."""
    svcs.flask.get(Sessions).revoke_others(signed_in(SignedIn))
    flask.flash(gettext("Every other session has ended."), "good")
    return flask.redirect(flask.url_for("account.sessions"), 303)


@blueprint.route("/tokens", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def tokens() -> flask.typing.ResponseReturnValue:
    """List one's API tokens, and make one. Its secret is shown this once."""
    user, service = me(), svcs.flask.get(Tokens)
    longest = svcs.flask.get(Settings).api_token_days
    form = TokenForm(data={"scopes": [Scope.READ.value], "days": longest})
    usable = [scope for scope in Scope if scope is not Scope.ADMIN or user.admin]
    form.scopes.choices = [(scope.value, SCOPES[scope]) for scope in usable]
    issued: IssuedToken | None = None
    if form.validate_on_submit():
        scopes = frozenset(Scope(value) for value in form.scopes.data)
        issued = service.issue_to(user, form.name.data, scopes=scopes, days=form.days.data)
    page = flask.render_template(
        "auth/tokens.html", form=form, problem=None, issued=issued, tokens=service.of(user), words=SCOPES
    )
    return page, 422 if form.errors else 200


@blueprint.post("/tokens/<id:token_id>/revoke")
@allow(Permission.SIGNED_IN)
def revoke_token(token_id: int) -> Response:
    """Make a token useless."""
    svcs.flask.get(Tokens).revoke(me(), token_id)
    flask.flash(gettext("That token is of no use any more."), "good")
    return flask.redirect(flask.url_for("account.tokens"), 303)


def me() -> User:
    """Return whoever visits."""
    return signed_in(SignedIn).user


def renewed(visit: SignedIn, said: str) -> Response:
    """Give this session another secret, as whenever what one logs in with has changed."""
    issued = svcs.flask.get(Sessions).rotate(visit)
    response = flask.redirect(flask.url_for("account.show"), 303)
    begin_session(response, issued.secret, issued.expires_at)
    flask.flash(said, "good")
    return response
