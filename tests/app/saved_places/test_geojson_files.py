import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.saved_places.csv_files import Unreadable
from app.saved_places.geojson_files import read_geojson, write_geojson
from app.saved_places.models import PlaceDraft
from tests.app.saved_places.test_csv_files import DRAFTS


def feature(coordinates: Any = (-9.13, 38.71), **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": coordinates},
        "properties": {"name": "Tasca", **properties},
    }


def places(*features: Any) -> list[PlaceDraft | tuple[int, str]]:
    body = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    return [row.place or (row.line, row.reason) for row in read_geojson(body)]


def test_points_are_read_whatever_else_they_have() -> None:
    found = places(
        feature(),
        feature([-9.13, 38.71, 120], description="fish", stars=5),
        feature([-9, 38], note="first", comment="second", place_id=4),
        feature(name=None, Title="Other"),
    )
    assert found == [
        PlaceDraft("Tasca", 38.71, -9.13),
        PlaceDraft("Tasca", 38.71, -9.13, "fish"),
        PlaceDraft("Tasca", 38.0, -9.0, "first", 4),
        (4, "name is empty"),
    ]


def test_bad_features_are_told_by_number_and_the_others_are_read() -> None:
    found = places(
        None,
        {"type": "Feature", "geometry": None, "properties": None},
        {**feature(), "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}},
        {**feature(), "properties": [1]},
        feature([True, 1]),
        feature("12"),
        feature([1]),
        feature([181, 91]),
        feature([10**400, 0]),
        feature(name=5, note=[]),
        feature(place_id=True),
        feature(place_id=-1),
        feature(name="\ud800"),
        feature(),
    )
    assert found == [
        (1, "this is no Feature"),
        (2, "its geometry is no Point"),
        (3, "its geometry is no Point"),
        (4, "its properties are no object"),
        (5, "its coordinates are not longitude and latitude"),
        (6, "its coordinates are not longitude and latitude"),
        (7, "its coordinates are not longitude and latitude"),
        (8, "latitude is not between -90 and 90; longitude is not between -180 and 180"),
        (9, "longitude is not between -180 and 180"),
        (10, "name is no text; note is no text"),
        (11, "place_id is no id of a place"),
        (12, "place_id is no id of a place"),
        (13, "name is not UTF-8"),
        PlaceDraft("Tasca", 38.71, -9.13),
    ]


def test_one_feature_is_a_collection_of_one_and_a_mark_of_byte_order_does_no_harm() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(feature()).encode()
    assert [row.place for row in read_geojson(body)] == [PlaceDraft("Tasca", 38.71, -9.13)]
    nan = json.dumps(feature([float("nan"), 1])).encode()
    assert [row.reason for row in read_geojson(nan)] == ["longitude is not between -180 and 180"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON: Expecting value at line 1 column 1"),
        (b"{", "not JSON"),
        (b'{"type": "FeatureCollection",\n"features": [}', "at line 2 column 14"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b"[" * 100_000, "can be read"),
        (b'{"a": ' + b"9" * 5000 + b"}", "can be read"),
        (b"[]", "FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": {}}', "FeatureCollection"),
        (b'{"type": "Point", "coordinates": [1, 2]}', "FeatureCollection"),
    ],
)
def test_what_is_no_geojson_is_unreadable(body: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        list(read_geojson(body))


@given(st.lists(DRAFTS, max_size=5))
def test_what_was_written_is_read_again(drafts: list[PlaceDraft]) -> None:
    assert [row.place for row in read_geojson(write_geojson(drafts))] == drafts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "geometry", "name"]), inner),
    max_leaves=10,
)


@given(st.lists(JSON | st.builds(feature, JSON, name=JSON, note=JSON, place_id=JSON)))
def test_no_feature_is_a_surprise(features: list[Any]) -> None:
    assert len(places(*features)) == len(features)
