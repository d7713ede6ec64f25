"""The pages by which places come in from files and go out into them."""

import logging
import unicodedata

import flask
import svcs.flask
from flask_wtf.file import FileField, FileRequired

from app.languages import gettext, lazy_gettext
from app.pages.forms import Form
from app.pages.visitors import allow
from app.saved_places.csv_files import MEDIA_TYPE as CSV_TYPE
from app.saved_places.csv_files import write_csv
from app.saved_places.geojson_files import MEDIA_TYPE as GEOJSON_TYPE
from app.saved_places.geojson_files import write_geojson
from app.saved_places.importing import Imports
from app.saved_places.models import UNFINISHED, Format
from app.saved_places.services import SavedPlaces
from app.saved_places.views import owner
from app.web.routes import Permission

logger = logging.getLogger(__name__)

blueprint = flask.Blueprint("imports", __name__)

FAULTS = 100
"""Refused rows that a page tells about."""

RECENT = 5
"""Imports that are listed beside the form."""

WRITERS = {Format.CSV: (write_csv, CSV_TYPE), Format.GEOJSON: (write_geojson, GEOJSON_TYPE)}


class ImportForm(Form):
    """A file."""

    file = FileField(
        lazy_gettext("File"),
        [FileRequired(lazy_gettext("Choose a file."))],
        description=lazy_gettext("CSV with the columns name, latitude and longitude, or GeoJSON with points."),
        render_kw={"accept": ".csv,.tsv,.txt,.json,.geojson"},
    )


@blueprint.route("/lists/<id:list_id>/imports", methods=["GET", "POST"])
@allow(Permission.SIGNED_IN)
def begin(list_id: int) -> flask.typing.ResponseReturnValue:
    """Take a file, and have its places brought into a list."""
    found = svcs.flask.get(SavedPlaces).get_list(owner(), list_id)
    form, imports = ImportForm(), svcs.flask.get(Imports)
    if form.validate_on_submit():
        body = form.file.data.read()
        made = imports.begin(owner(), list_id, format_of(form.file.data.filename or "", body), body)
        return flask.redirect(flask.url_for("imports.show", list_id=list_id, import_id=made.id), 303)
    recent = imports.of_list(owner(), list_id, None, RECENT)
    page = flask.render_template("saved_places/import_begin.html", list=found, form=form, problem=None, recent=recent)
    return page, 422 if form.errors else 200


@blueprint.get("/lists/<id:list_id>/imports/<id:import_id>")
@allow(Permission.SIGNED_IN)
def show(list_id: int, import_id: int) -> str:
    """Show how far an import is; a page of one that is not done asks again by itself."""
    imports = svcs.flask.get(Imports)
    found = imports.get(owner(), list_id, import_id)
    return flask.render_template(
        "saved_places/import.html",
        list=svcs.flask.get(SavedPlaces).get_list(owner(), list_id),
        found=found,
        unfinished=found.state in UNFINISHED,
        faults=imports.faults(owner(), list_id, import_id, None, FAULTS) if found.refused else [],
    )


@blueprint.get("/lists/<id:list_id>/export.csv", defaults={"ending": "csv"})
@blueprint.get("/lists/<id:list_id>/export.geojson", defaults={"ending": "geojson"})
@allow(Permission.SIGNED_IN)
def export(list_id: int, ending: str) -> flask.Response:
    """Give a list as a file."""
    service = svcs.flask.get(SavedPlaces)
    found = service.get_list(owner(), list_id)
    write, media_type = WRITERS[Format(ending)]
    response = flask.Response(write(service.all_places(owner(), list_id)), content_type=media_type)
    response.headers.set("Content-Disposition", "attachment", filename=f"{file_name(found.name)}.{ending}")
    return response


def format_of(name: str, body: bytes) -> Format:
    """Say what a file is, by its name or by how it begins."""
    if name.lower().endswith((".json", ".geojson")) or body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return Format.GEOJSON
    return Format.CSV


def file_name(text: str) -> str:
    """Return what a list is called as a file, in letters that every system takes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = "".join(character if character.isalnum() else "-" for character in plain.lower())
    return "-".join(filter(None, kept.split("-")))[:60] or gettext("places")
