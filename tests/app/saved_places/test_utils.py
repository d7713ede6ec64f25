import pytest

from app.saved_places.models import PlaceDraft
from app.saved_places.utils import draft


def test_a_draft_is_trimmed() -> None:
    assert draft(" Tasca ", 38, -9, " good\r\nfish ", 4) == PlaceDraft("Tasca", 38.0, -9.0, "good\nfish", 4)


@pytest.mark.parametrize(
    ("name", "latitude", "longitude", "note", "place_id", "wrong"),
    [
        (" ", 0, 0, "", None, ["name is empty"]),
        ("x" * 201, 0, 0, "", None, ["name is longer than 200 characters"]),
        ("a\nb", 0, 0, "", None, ["name has control characters"]),
        ("a\0", 0, 0, "b\0", None, ["name has control characters", "note has control characters"]),
        ("a\udcff", 0, 0, "b\udcff", None, ["name is not UTF-8", "note is not UTF-8"]),
        ("a", 0, 0, "x" * 2001, None, ["note is longer than 2000 characters"]),
        ("a", 90.01, 0, "", None, ["latitude is not between -90 and 90"]),
        ("a", 0, -180.01, "", None, ["longitude is not between -180 and 180"]),
        ("a", float("nan"), float("inf"), "", None, ["latitude is not", "longitude is not"]),
        ("a", 0, 0, "", 0, ["place_id is no id"]),
        ("a", 0, 0, "", 2**31, ["place_id is no id"]),
    ],
)
def test_all_that_is_wrong_is_said(name, latitude, longitude, note, place_id, wrong) -> None:
    with pytest.raises(ValueError) as caught:
        draft(name, latitude, longitude, note, place_id)
    said = str(caught.value).split("; ")
    assert len(said) == len(wrong)
    assert all(one.startswith(start) for one, start in zip(said, wrong, strict=True))


def test_the_rims_of_the_earth_are_on_it() -> None:
    assert draft("a", -90, 180).longitude == 180
    assert draft("a", 90, -180, "tab\tand\nline").note == "tab\tand\nline"
