import io

import pytest
import svcs

from app.jobs.models import JobQueue
from app.saved_places.import_views import file_name, format_of
from app.saved_places.models import Format
from tests.support.browsing import Browser

pytestmark = pytest.mark.usefixtures("seeded")

CSV = "name;lat;lon;note\nAlfama;38,71;-9,13;<b>\nNowhere;91;0;\nBelém;38.69;-9.21;\n".encode()
GEOJSON = (
    b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "Ulm"},'
    b' "geometry": {"type": "Point", "coordinates": [9.99, 48.4]}}]}'
)


class Waiting:
    """A queue that nobody takes from."""

    def enqueue(self, name: str, arguments: object) -> None:
        """Leave it."""


@pytest.fixture
def trip(inside: Browser) -> str:
    return inside.submit("/lists", {"name": "Três dias"}).location


def send(browser: Browser, trip: str, content: bytes, name: str) -> str:
    page = browser.submit(f"{trip}/imports", {"file": (io.BytesIO(content), name)})
    assert page.status == 303, page.text
    return page.location


def test_good_rows_come_in_and_bad_ones_are_told(inside: Browser, trip: str) -> None:
    page = inside.get(send(inside, trip, CSV, "places.csv"))
    assert page.heading == "Import done"
    assert "2 places" in page.text
    assert "3 latitude is not between -90 and 90" in page.text
    assert "http-equiv" not in page.html
    assert "Belém" in inside.get(trip).text
    assert "2 places added" in inside.get(f"{trip}/imports").text


def test_a_file_that_is_none(inside: Browser, trip: str) -> None:
    page = inside.get(send(inside, trip, b"what is this", "places.csv"))
    assert page.heading == "Nothing was imported"
    assert "The first line must name the columns" in page.text
    assert inside.submit(f"{trip}/imports").status == 422


def test_an_import_that_waits_is_looked_at_again_without_script(
    inside: Browser, trip: str, registry: svcs.Registry
) -> None:
    registry.register_value(JobQueue, Waiting())
    page = inside.get(send(inside, trip, GEOJSON, "places.geojson"))
    assert page.heading == "Importing"
    assert '<meta http-equiv="refresh" content="2">' in page.html
    assert "<progress" in page.html


def test_what_goes_out_comes_in_again(inside: Browser, trip: str) -> None:
    send(inside, trip, CSV, "places.csv")
    csv = inside.get(f"{trip}/export.csv").response
    assert csv.headers["Content-Disposition"] == "attachment; filename=tres-dias.csv"
    assert csv.mimetype == "text/csv"
    geojson = inside.get(f"{trip}/export.geojson").response
    assert geojson.mimetype == "application/geo+json"
    send(inside, trip, csv.data, "x.csv")
    send(inside, trip, geojson.data, "x.json")
    assert inside.get(f"{trip}/export.csv").html.count("Alfama") == 3
    assert inside.get(f"{trip}/export.xml").status == 404


def test_what_a_file_is() -> None:
    assert format_of("places.GeoJSON", b"") is Format.GEOJSON
    assert format_of("download", b'\xef\xbb\xbf {"type"') is Format.GEOJSON
    assert format_of("places.csv", b"name,lat") is Format.CSV


def test_names_of_files() -> None:
    assert file_name("Três dias / ../etc") == "tres-dias-etc"
    assert file_name("東京") == "places"
