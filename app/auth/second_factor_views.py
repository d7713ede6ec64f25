"""The pages of a second factor: set an authenticator up, get recovery codes, go back to a password alone."""

import logging

import flask
import segno
import svcs.flask
from markupsafe import Markup
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from app.auth.models import SignedIn
from app.auth.second_factors import SecondFactors
from app.errors import Conflict, NotAllowed
from app.languages import gettext, lazy_gettext
from app.pages.forms import Form
from app.pages.visitors import allow, signed_in
from app.users.models import User
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("second_factor", __name__, url_prefix="/account/second-factor")


class PasswordForm(Form):
    """The password of somebody who is about to change what they log in with."""

    current = PasswordField(
        lazy_gettext("Current password"),
        [InputRequired(), Length(max=128)],
        render_kw={"autocomplete": "current-password"},
    )


class ConfirmForm(Form):
    """What an authenticator shows, once it has read the picture."""

    code = StringField(
        lazy_gettext("Code"),
        [InputRequired(), Length(max=40)],
        render_kw={"autocomplete": "one-time-code", "class": "code", "inputmode": "numeric"},
    )


@blueprint.route("", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def show() -> flask.typing.ResponseReturnValue:
    """Say whether there is a second factor; without one, begin to set it up."""
    factors, form, problem = svcs.flask.get(SecondFactors), PasswordForm(), None
    if form.validate_on_submit():
        try:
            factors.begin(me(), form.current.data)
            return flask.redirect(flask.url_for("second_factor.confirm"), 303)
        except NotAllowed:
            problem = wrong_password()
        except Conflict:
            return flask.redirect(flask.url_for("second_factor.show"), 303)
    is_on = factors.is_on(me())
    page = flask.render_template(
        "auth/second_factor_on.html" if is_on else "auth/second_factor_begin.html",
        form=form,
        problem=problem,
        left=factors.recovery_codes_left(me()) if is_on else 0,
    )
    return page, 422 if problem or form.errors else 200


@blueprint.route("/confirm", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def confirm() -> flask.typing.ResponseReturnValue:
    """Show what an authenticator has to know, and turn the second factor on when it does."""
    factors, form, problem = svcs.flask.get(SecondFactors), ConfirmForm(), None
    try:
        if form.validate_on_submit():
            try:
                return flask.render_template("auth/recovery_codes.html", codes=factors.confirm(me(), form.code.data))
            except NotAllowed:
                problem = gettext("That is not the code that your authenticator shows.")
        enrolment = factors.enrolment(me())
    except Conflict:  # nothing was begun, or all is done
        return flask.redirect(flask.url_for("second_factor.show"), 303)
    page = flask.render_template(
        "auth/second_factor_confirm.html",
        form=form,
        problem=problem,
        picture=picture(enrolment.uri),
        secret=" ".join(enrolment.secret[at : at + 4] for at in range(0, len(enrolment.secret), 4)),
    )
    return page, 422 if problem or form.errors else 200


@blueprint.route("/codes", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def new_codes() -> flask.typing.ResponseReturnValue:
    """Get new recovery codes instead of those from before."""
    form, problem = PasswordForm(), None
    if form.validate_on_submit():
        try:
            codes = svcs.flask.get(SecondFactors).new_recovery_codes(me(), form.current.data)
            return flask.render_template("auth/recovery_codes.html", codes=codes)
        except NotAllowed:
            problem = wrong_password()
        except Conflict:
            return flask.redirect(flask.url_for("second_factor.show"), 303)
    page = flask.render_template("auth/new_recovery_codes.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/off", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN, limit="login")
def turn_off() -> flask.typing.ResponseReturnValue:
    """Let a password be enough again."""
    form, problem = PasswordForm(), None
    if form.validate_on_submit():
        try:
            svcs.flask.get(SecondFactors).turn_off(me(), form.current.data)
            flask.flash(gettext("Your password is enough again."), "good")
            return flask.redirect(flask.url_for("account.show"), 303)
        except NotAllowed:
            problem = wrong_password()
    page = flask.render_template("auth/second_factor_off.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


def picture(uri: str) -> Markup:
    """Return what an authenticator's camera reads, as SVG: black on white, whatever colours the page has."""
    made = segno.make(uri, micro=False, error="m")
    return Markup(made.svg_inline(scale=4, border=2, omitsize=True, svgclass=None, lineclass=None))  # noqa: S704 - our own


def wrong_password() -> str:
    """Say that a password was not right."""
    return gettext("That is not your password, or there were too many attempts.")


def me() -> User:
    """Return whoever visits."""
    return signed_in(SignedIn).user
