"""The pages that letters lead to, and those by which one asks for a letter: sign up, reset a password, a new address.

What a link does takes a button: programs that look at mail follow links, too. None of these pages tells whether an
address has an account.
"""

import logging

import flask
import svcs.flask
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from app.auth.accounts import Accounts
from app.errors import Conflict, Invalid
from app.languages import current_language, gettext, lazy_gettext
from app.pages.forms import Form, OneLine
from app.pages.visitors import allow, begin_visit_anew, end_session
from app.users.utils import LONGEST_EMAIL, PASSWORD_LENGTH
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("letters", __name__)


def address_field() -> EmailField:
    """Return a field for an e-mail address."""
    checks = [InputRequired(), Length(max=LONGEST_EMAIL)]
    return EmailField(lazy_gettext("E-mail address"), checks, render_kw={"autocomplete": "email"})


def new_password_field() -> PasswordField:
    """Return a field for a password that is to be."""
    return PasswordField(
        lazy_gettext("New password"),
        [InputRequired(), Length(PASSWORD_LENGTH[0], PASSWORD_LENGTH[-1])],
        description=lazy_gettext("At least 12 characters. Several words that don't belong together are good."),
        render_kw={"autocomplete": "new-password"},
    )


def repeated_field(name: str) -> PasswordField:
    """Return a field for the same password once more."""
    return PasswordField(
        lazy_gettext("Once more"),
        [InputRequired(), EqualTo(name, lazy_gettext("These are two different passwords."))],
        render_kw={"autocomplete": "new-password"},
    )


class SignUpForm(Form):
    """Who wants an account."""

    name = StringField(
        lazy_gettext("Name"), [InputRequired(), Length(max=100), OneLine()], render_kw={"autocomplete": "name"}
    )
    email = address_field()
    password = new_password_field()
    again = repeated_field("password")


class AddressForm(Form):
    """Who forgot their password."""

    email = address_field()


class PasswordForm(Form):
    """A password that is to be."""

    password = new_password_field()
    again = repeated_field("password")


@blueprint.route("/sign-up", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def sign_up() -> flask.typing.ResponseReturnValue:
    """Ask for an account."""
    form, problem = SignUpForm(), None
    if form.validate_on_submit():
        try:
            svcs.flask.get(Accounts).sign_up(
                form.email.data, form.name.data, form.password.data, language=current_language()
            )
            return flask.render_template("auth/letter_sent.html", address=form.email.data)
        except Invalid:
            problem = unusable()
    page = flask.render_template("auth/sign_up.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/verify/<secret>", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def verify(secret: str) -> flask.typing.ResponseReturnValue:
    """Make the account of whoever followed the link."""
    accounts = svcs.flask.get(Accounts)
    if flask.request.method == "GET":
        accounts.check_sign_up(secret)
        return flask.render_template("auth/verify.html", form=Form(), problem=None)
    try:
        accounts.verify(secret)
        flask.flash(gettext("Your address is confirmed. You can log in now."), "good")
    except Conflict:
        flask.flash(gettext("There is an account with this e-mail address already. Log in."), "bad")
    return flask.redirect(flask.url_for("auth.log_in"), 303)


@blueprint.route("/reset", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def ask_reset() -> flask.typing.ResponseReturnValue:
    """Ask for a letter by which a password can be set anew."""
    form, problem = AddressForm(), None
    if form.validate_on_submit():
        try:
            svcs.flask.get(Accounts).ask_reset(form.email.data, language=current_language())
            return flask.render_template("auth/letter_sent.html", address=form.email.data)
        except Invalid:
            problem = gettext("This is no e-mail address.")
    page = flask.render_template("auth/ask_reset.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/reset/<secret>", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def reset(secret: str) -> flask.typing.ResponseReturnValue:
    """Set a new password, and end every session there is."""
    accounts = svcs.flask.get(Accounts)
    accounts.check_reset(secret)
    form, problem = PasswordForm(), None
    if form.validate_on_submit():
        try:
            accounts.reset(secret, form.password.data)
        except Invalid:
            problem = unusable()
        else:
            begin_visit_anew()
            flask.flash(gettext("Your password is changed. Log in with the new one."), "good")
            response = flask.redirect(flask.url_for("auth.log_in"), 303)
            end_session(response)
            return response
    page = flask.render_template("auth/reset.html", form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.route("/email/<secret>", methods=["GET", "POST"])
@allow(Permission.PUBLIC, limit="login")
def confirm_email(secret: str) -> flask.typing.ResponseReturnValue:
    """Give somebody who followed the link their new address."""
    accounts = svcs.flask.get(Accounts)
    if flask.request.method == "GET":
        accounts.check_email(secret)
        return flask.render_template("auth/verify.html", form=Form(), problem=None)
    try:
        accounts.confirm_email(secret)
        flask.flash(gettext("Your new address is confirmed."), "good")
    except Conflict:
        flask.flash(gettext("Somebody has an account with this e-mail address already."), "bad")
    return flask.redirect(flask.url_for("places.search"), 303)


def unusable() -> str:
    """Say what may be wrong with an address and a password that fields let through."""
    return gettext("That is no e-mail address, or the password is the address.")
