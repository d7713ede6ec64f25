"""The pages of places: search, one place, the nearest ones."""

import logging
from collections.abc import Sequence

import flask
import svcs.flask
from wtforms.validators import InputRequired, NumberRange

from app.geolocation.landmarks import Landmarks
from app.geolocation.maps import WIDTH, Frame, Map, Position, draw, frame_of
from app.geolocation.services import Places
from app.languages import lazy_gettext
from app.pages.forms import DegreesField, Form
from app.pages.visitors import allow
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("places", __name__)

FOUND = 20
"""Places on a page of results."""

NEAREST = 10

WORLD = Frame(latitude=11, longitude=10, unit=WIDTH / 360 / 0.75, squeeze=0.75)
"""All of it but the polar regions, true to scale at 41 degrees."""


class PositionForm(Form):
    """A position in degrees."""

    lat = DegreesField(
        lazy_gettext("Latitude"),
        [InputRequired(), NumberRange(-90, 90)],
        render_kw={"autocomplete": "off"},
    )
    lon = DegreesField(
        lazy_gettext("Longitude"),
        [InputRequired(), NumberRange(-180, 180)],
        render_kw={"autocomplete": "off"},
    )


@blueprint.get("/places")
@allow(Permission.PUBLIC)
def search() -> str:
    """Find places by name; without one, show the world."""
    query = flask.request.args.get("q", "").strip()[:200]
    found = svcs.flask.get(Places).search(query, FOUND) if query else []
    positions = [(place.latitude, place.longitude) for place in found]
    return flask.render_template("geolocation/search.html", query=query, places=found, map=map_of(positions))


@blueprint.get("/places/<id:place_id>")
@allow(Permission.PUBLIC)
def show(place_id: int) -> str:
    """Show one place, and what is near it."""
    places = svcs.flask.get(Places)
    place = places.get(place_id)
    near = [found for found in places.nearest(place.latitude, place.longitude, 6) if found.place.id != place.id]
    city = places.get(place.part_of) if place.part_of else None
    return flask.render_template(
        "geolocation/place.html", place=place, city=city, near=near, map=map_of([(place.latitude, place.longitude)])
    )


@blueprint.get("/nearest")
@allow(Permission.PUBLIC)
def nearest() -> tuple[str, int]:
    """Find the places nearest to a position."""
    form = PositionForm(flask.request.args)
    asked = bool(flask.request.args)
    if not asked or not form.validate():
        page = flask.render_template("geolocation/nearest.html", form=form, found=None)
        return page, 422 if asked else 200
    here = (float(form.lat.data or 0), float(form.lon.data or 0))
    found = svcs.flask.get(Places).nearest(*here, NEAREST)
    positions = [(nearby.place.latitude, nearby.place.longitude) for nearby in found]
    frame = frame_of([here, *positions], smallest=0.1)
    return flask.render_template(
        "geolocation/nearest.html", form=form, found=found, map=map_of(positions, frame), centre=frame.point(*here)
    ), 200


def map_of(positions: Sequence[Position], frame: Frame | None = None) -> Map:
    """Draw positions among the towns around them; without any, the world."""
    frame = frame or (frame_of(positions) if positions else WORLD)
    return draw(frame, positions, svcs.flask.get(Landmarks).dots(frame))
