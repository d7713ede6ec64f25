"""Places as GeoJSON (RFC 7946): a collection of points, each with name and note among its properties."""

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from app.saved_places.csv_files import COLUMNS, Unreadable
from app.saved_places.models import PlaceDraft, Row, SavedPlace
from app.saved_places.utils import draft

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/geo+json"


def read_geojson(body: bytes) -> Iterator[Row]:
    """Give each feature of a file, good or bad, by its number from 1. Raises Unreadable."""
    try:
        data = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("The file is not UTF-8, as GeoJSON has to be.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise Unreadable(f"The file is not JSON: {error.msg} at {place}.") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of nested arrays
        raise Unreadable("The file is not JSON that can be read.") from None
    for number, feature in enumerate(features_of(data), 1):
        yield read_feature(number, feature)


def features_of(data: Any) -> list[Any]:
    """Return the features of a document. Raises Unreadable."""
    kind = data.get("type") if isinstance(data, dict) else None
    if kind == "Feature":
        return [data]
    features = data.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list):
        raise Unreadable("The file must be a GeoJSON FeatureCollection with a list of features.")
    return features


def read_feature(number: int, feature: Any) -> Row:
    """Turn a feature into a place, or say why it is none."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return Row(number, None, "this is no Feature")
    geometry, properties = feature.get("geometry"), feature.get("properties") or {}
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        return Row(number, None, "its geometry is no Point")
    if not isinstance(properties, dict):
        return Row(number, None, "its properties are no object")
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list) or len(coordinates) < 2 or not all(map(is_number, coordinates[:2])):
        return Row(number, None, "its coordinates are not longitude and latitude")
    given = {column: pick(properties, column) for column in ("name", "note", "place_id")}
    place_id = given["place_id"]
    faults = [f"{column} is no text" for column in ("name", "note") if not isinstance(given[column], str | None)]
    if place_id is not None and (isinstance(place_id, bool) or not isinstance(place_id, int)):
        faults.append("place_id is no id of a place")
    if faults:
        return Row(number, None, "; ".join(faults))
    longitude, latitude = (to_float(value) for value in coordinates[:2])
    try:
        place = draft(given["name"] or "", latitude, longitude, given["note"] or "", place_id)
    except ValueError as error:
        return Row(number, None, str(error))
    return Row(number, place)


def pick(properties: dict[str, Any], column: str) -> Any:
    """Return the property that means this, by whichever of its names."""
    found = {str(name).casefold(): value for name, value in reversed(properties.items())}
    return next((found[name] for name in sorted(COLUMNS[column], key=lambda n: n != column) if name in found), None)


def is_number(value: Any) -> bool:
    """Say whether a value is a number; JSON's true is one to Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def to_float(value: float) -> float:
    """Return a number that may be too large for one as infinite, which is no position either."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def write_geojson(places: Iterable[SavedPlace | PlaceDraft]) -> bytes:
    """Write places as one collection."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [place.longitude, place.latitude]},
            "properties": {"name": place.name, "note": place.note, "place_id": place.place_id},
        }
        for place in places
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
