from app.geolocation.models import Country, Place


def test_a_label_is_how_a_person_would_write_it() -> None:
    place = Place(4, "Lisbon", Country("PT", "Portugal"), "14", 38.7, -9.1, 517_802, "Europe/Lisbon")
    assert place.label == "Lisbon, Portugal"
