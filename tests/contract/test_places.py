"""Places over HTTP."""


def test_search_finds_what_people_mean(get) -> None:
    answer = get("/api/v1/places?q=lisb")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    first = answer.json["items"][0]
    assert (first["name"], first["country"]["code"]) == ("Lisbon", "PT")
    assert len(get("/api/v1/places?q=lisb&limit=1").json["items"]) == 1


def test_names_in_other_scripts(get) -> None:
    assert get("/api/v1/places?q=%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0").json["items"][0]["label"] == "Moscow, Russia"
    assert "Łódź".encode() in get("/api/v1/places?q=lodz").body, "UTF-8, not escapes"


def test_the_nearest_place(get) -> None:
    items = get("/api/v1/places/nearest?lat=48.86&lon=2.35").json["items"]
    assert items[0]["name"] == "Paris"
    distances = [item["distance_km"] for item in items]
    assert distances == sorted(distances)
    assert len(items) == 5


def test_one_place(get) -> None:
    place = get("/api/v1/places/2267057").json
    assert (place["label"], place["timezone"]) == ("Lisbon, Portugal", "Europe/Lisbon")


def test_geocode_both_ways(get, post) -> None:
    answer = post("/api/v1/geocode", {"query": "Lisbon"})
    assert answer.status == 200
    assert answer.json["items"][0]["label"] == "Lisbon, Portugal"
    assert post("/api/v1/geocode", {"query": "Paris, TX"}).json["items"][0]["admin1_code"] == "TX"
    assert get("/api/v1/reverse-geocode?lat=48.86&lon=2.35").json["label"] == "Paris, France"
