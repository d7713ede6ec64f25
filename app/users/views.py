"""The pages of admins: find users, change them, let them in or keep them out."""

import logging
from typing import Any

import flask
import svcs.flask
from pydantic import ValidationError
from wtforms import BooleanField, EmailField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from app.auth.models import SignedIn
from app.errors import Conflict, Invalid, NotAllowed
from app.languages import LANGUAGES, gettext, lazy_gettext
from app.pages.forms import Form, OneLine
from app.pages.visitors import allow, signed_in
from app.users.admin import UserAdmin
from app.users.admin_api import ListUsersInput, UsersPage
from app.users.api import UserOutput
from app.users.models import Role, Sort, User, UserChanges, UserQuery
from app.users.utils import LONGEST_EMAIL
from app.web.paging import Cursors
from app.web.problems import BadRequest
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("users", __name__, url_prefix="/admin/users")

SHOWN = 25
"""Users on a page."""

ROLES = {Role.USER: lazy_gettext("User"), Role.ADMIN: lazy_gettext("Admin")}

COLUMNS = (
    ("name", lazy_gettext("Name")),
    ("email", lazy_gettext("E-mail address")),
    ("created_at", lazy_gettext("Since")),
    ("last_login_at", lazy_gettext("Last log-in")),
)
"""What the list can be sorted by."""


class UserForm(Form):
    """A user, as an admin may change them."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=100), OneLine()])
    email = EmailField(lazy_gettext("E-mail address"), [InputRequired(), Length(max=LONGEST_EMAIL)])
    role = SelectField(lazy_gettext("Role"))
    language = SelectField(lazy_gettext("Language"))
    active = BooleanField(lazy_gettext("May log in"))


@blueprint.get("")
@allow(Permission.ADMIN)
def search() -> flask.typing.ResponseReturnValue:
    """Find users: by words, role and state, in an order, a page at a time."""
    try:
        given = asked_for()
        pager = svcs.flask.get(Cursors).pager("users", given)
    except (ValidationError, BadRequest):  # an address that somebody wrote, or whose order was another
        return flask.redirect(flask.url_for("users.search"), 303)
    sort: Any = given.sort.removeprefix("-")
    by: Sort = sort
    query = UserQuery(given.q, given.role, given.active, by, descending=given.sort.startswith("-"))
    found = svcs.flask.get(UserAdmin).search(me(), query, pager.after, pager.fetch)
    page = pager.page(UsersPage, found, key=query.position, show=UserOutput.of)
    return flask.render_template(
        "users/search.html", users=found[:SHOWN], given=given, next=page.next, columns=COLUMNS, roles=ROLES
    )


@blueprint.route("/<id:user_id>", methods=["GET", "POST"])
@allow(Permission.ADMIN)
def edit(user_id: int) -> flask.typing.ResponseReturnValue:
    """Show and change a user."""
    admin, problem = svcs.flask.get(UserAdmin), None
    user = admin.show(me(), user_id)
    form = UserForm(data={name: getattr(user, name) or "" for name in ("name", "email", "role", "language", "active")})
    form.role.choices = [(role.value, words) for role, words in ROLES.items()]
    form.language.choices = [("", gettext("As the browser says")), *LANGUAGES.items()]
    if form.validate_on_submit():
        try:
            admin.edit(me(), user_id, changes(user, form))
            flask.flash(gettext("Saved."), "good")
            return flask.redirect(flask.url_for("users.edit", user_id=user_id), 303)
        except Conflict:
            problem = gettext("Somebody has this address already, or no admin would be left.")
        except Invalid:
            problem = gettext("This is no e-mail address.")
        except NotAllowed:
            problem = gettext("You can't keep yourself out: ask another admin.")
    page = flask.render_template("users/edit.html", user=user, form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


def asked_for() -> ListUsersInput:
    """Return what the address of a list asks for; a filter that is empty is none."""
    given = {name: value for name, value in flask.request.args.items() if value}
    return ListUsersInput.model_validate({**given, "limit": SHOWN})


def changes(user: User, form: UserForm) -> UserChanges:
    """Return what differs from how the user is."""
    wanted: dict[str, Any] = {
        "name": form.name.data.strip(),
        "email": form.email.data.strip(),
        "role": Role(form.role.data),
        "language": form.language.data or None,
        "active": bool(form.active.data),
    }
    changed: Any = {name: value for name, value in wanted.items() if value != getattr(user, name)}
    found: UserChanges = changed
    return found


def me() -> User:
    """Return whoever visits."""
    return signed_in(SignedIn).user
