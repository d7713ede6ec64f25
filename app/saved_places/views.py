"""The pages of saved places: lists, what is in them, and single places."""

import logging

import flask
import svcs.flask
from werkzeug.wrappers import Response
from wtforms import HiddenField, IntegerField, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.auth.models import SignedIn
from app.errors import Conflict, Refused, Stale
from app.geolocation.services import Places
from app.geolocation.views import map_of
from app.languages import gettext, lazy_gettext
from app.pages.forms import DegreesField, Form, OneLine
from app.pages.visitors import allow, signed_in
from app.saved_places.models import MOST_LISTS, MOST_PLACES, PlaceChange, PlaceList
from app.saved_places.services import SavedPlaces
from app.saved_places.utils import LONGEST_NAME, LONGEST_NOTE
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("saved_places", __name__)

SHOWN = 50
"""Places on a page of a list."""

NEW = 0
"""Chosen instead of a list to make a new one."""


class ListForm(Form):
    """A list's name, and what it is about."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=100), OneLine()])
    description = TextAreaField(lazy_gettext("Description"), [Length(max=2000)], render_kw={"rows": 2})


class ChangeListForm(ListForm):
    """The same, with the version that was looked at."""

    version = HiddenField()


class PlaceForm(Form):
    """A place in a list."""

    name = StringField(lazy_gettext("Name"), [InputRequired(), Length(max=LONGEST_NAME), OneLine()])
    latitude = DegreesField(lazy_gettext("Latitude"), [InputRequired(), NumberRange(-90, 90)], places=None)
    longitude = DegreesField(lazy_gettext("Longitude"), [InputRequired(), NumberRange(-180, 180)], places=None)
    note = TextAreaField(lazy_gettext("Note"), [Length(max=LONGEST_NOTE)], render_kw={"rows": 4})
    ordinal = IntegerField(lazy_gettext("Place in the list"), [Optional(), NumberRange(1, 10_000)])
    version = HiddenField()


class SaveForm(Form):
    """In which list a place of ours is to be saved."""

    place_list = RadioField(lazy_gettext("List"), coerce=int)
    name = StringField(lazy_gettext("Name of the new list"), [Length(max=100), OneLine()])
    note = TextAreaField(lazy_gettext("Note"), [Length(max=LONGEST_NOTE)], render_kw={"rows": 3})


def owner() -> int:
    """Return the id of whoever visits."""
    return signed_in(SignedIn).user.id


def explained(error: Refused) -> str:
    """Say why something was refused, in the language that is spoken."""
    if isinstance(error, Stale):
        return gettext("It has been changed since you looked at it. This is how it is now.")
    if isinstance(error, Conflict):
        return gettext("That would be one too many.")
    raise error


@blueprint.route("/lists", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def lists() -> flask.typing.ResponseReturnValue:
    """Show one's lists, and make a new one."""
    service, form, problem = svcs.flask.get(SavedPlaces), ListForm(), None
    if form.validate_on_submit():
        try:
            made = service.create_list(owner(), form.name.data, form.description.data or "")
            return flask.redirect(flask.url_for("saved_places.show", list_id=made.id), 303)
        except Conflict as error:
            problem = explained(error)
    found = service.lists(owner(), None, MOST_LISTS)
    page = flask.render_template("saved_places/lists.html", lists=found, form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.get("/lists/<id:list_id>")
@allow(Permission.SIGNED_IN)
def show(list_id: int) -> str:
    """Show a list, a page at a time."""
    service = svcs.flask.get(SavedPlaces)
    found = service.get_list(owner(), list_id)
    after = min(max(flask.request.args.get("after", 0, type=int), 0), MOST_PLACES)
    places = service.places(owner(), list_id, (after,), SHOWN)
    drawn = map_of([(place.latitude, place.longitude) for place in places]) if places else None
    return flask.render_template(
        "saved_places/list.html", list=found, places=places, map=drawn, after=after, shown=SHOWN
    )


@blueprint.route("/lists/<id:list_id>/change", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def change(list_id: int) -> flask.typing.ResponseReturnValue:
    """Change a list's name and description."""
    service, problem = svcs.flask.get(SavedPlaces), None
    found = service.get_list(owner(), list_id)
    form = ChangeListForm(obj=found)
    if form.validate_on_submit():
        try:
            service.change_list(
                owner(), list_id, version_of(form), name=form.name.data, description=form.description.data or ""
            )
            return flask.redirect(flask.url_for("saved_places.show", list_id=list_id), 303)
        except Stale as error:
            found, problem = service.get_list(owner(), list_id), explained(error)
            form = ChangeListForm(formdata=None, obj=found)
    page = flask.render_template("saved_places/change_list.html", list=found, form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.post("/lists/<id:list_id>/remove")
@allow(Permission.SIGNED_IN)
def remove(list_id: int) -> Response:
    """Remove a list."""
    svcs.flask.get(SavedPlaces).remove_list(owner(), list_id)
    flask.flash(gettext("The list is gone."), "good")
    return flask.redirect(flask.url_for("saved_places.lists"), 303)


@blueprint.route("/lists/<id:list_id>/places/<id:saved_id>", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def change_place(list_id: int, saved_id: int) -> flask.typing.ResponseReturnValue:
    """Change a place in a list."""
    service, problem = svcs.flask.get(SavedPlaces), None
    found = service.get(owner(), list_id, saved_id)
    form = PlaceForm(obj=found)
    if form.validate_on_submit():
        wanted = PlaceChange(
            form.name.data,
            float(form.latitude.data),
            float(form.longitude.data),
            form.note.data or "",
            form.ordinal.data,
        )
        try:
            service.change(owner(), list_id, saved_id, version_of(form), wanted)
            return flask.redirect(flask.url_for("saved_places.show", list_id=list_id), 303)
        except Stale as error:
            found, problem = service.get(owner(), list_id, saved_id), explained(error)
            form = PlaceForm(formdata=None, obj=found)
    page = flask.render_template("saved_places/change_place.html", place=found, form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


@blueprint.post("/lists/<id:list_id>/places/<id:saved_id>/remove")
@allow(Permission.SIGNED_IN)
def remove_place(list_id: int, saved_id: int) -> Response:
    """Take a place out of a list."""
    svcs.flask.get(SavedPlaces).remove(owner(), list_id, saved_id)
    return flask.redirect(flask.url_for("saved_places.show", list_id=list_id), 303)


@blueprint.route("/places/<id:place_id>/save", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def save(place_id: int) -> flask.typing.ResponseReturnValue:
    """Save a place of ours in a list, or in a new one."""
    place = svcs.flask.get(Places).get(place_id)
    service, problem = svcs.flask.get(SavedPlaces), None
    found = service.lists(owner(), None, MOST_LISTS)
    form = SaveForm(data={"place_list": found[-1].id if found else NEW})
    form.place_list.choices = choices(found)
    if form.validate_on_submit():
        wanted = (form.name.data or "").strip()
        if form.place_list.data == NEW and not wanted:
            form.name.errors = [gettext("Give the new list a name.")]
        else:
            try:
                list_id = form.place_list.data or service.create_list(owner(), wanted).id
                service.save_known(owner(), list_id, place_id, form.note.data or "")
                flask.flash(gettext("%(name)s is saved.", name=place.name), "good")
                return flask.redirect(flask.url_for("saved_places.show", list_id=list_id), 303)
            except Conflict as error:
                problem = explained(error)
    page = flask.render_template("saved_places/save.html", place=place, form=form, problem=problem)
    return page, 422 if problem or form.errors else 200


def choices(found: list[PlaceList]) -> list[tuple[int, str]]:
    """Return the lists to choose from, and the new one."""
    return [*((item.id, item.name) for item in found), (NEW, gettext("A new list"))]


def version_of(form: Form) -> int | None:
    """Return the version that was looked at when the form was shown."""
    given = str(form.version.data or "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None
