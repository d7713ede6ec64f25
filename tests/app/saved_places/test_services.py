import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.clock import FixedClock
from app.errors import Conflict, NotFound, Stale
from app.saved_places import services
from app.saved_places.models import PlaceChange, PlaceDraft, SavedPlace
from app.saved_places.services import SavedPlaces, shift_between
from tests.app.saved_places.conftest import ANA, BEN, LATER, OpenSaved
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """Used by the tests of what several do at once; the others need none."""
    return str(request.param)


def fill(saved: SavedPlaces, *names: str) -> tuple[int, list[SavedPlace]]:
    made = saved.create_list(ANA, "L").id
    return made, [saved.save(ANA, made, PlaceDraft(name, 1, 2)) for name in names]


def order(saved: SavedPlaces, list_id: int) -> str:
    found = saved.all_places(ANA, list_id)
    assert [place.ordinal for place in found] == list(range(1, len(found) + 1))
    assert saved.get_list(ANA, list_id).size == len(found)
    return "".join(place.name for place in found)


def test_lists_are_made_changed_and_removed(saved: SavedPlaces, clock: FixedClock) -> None:
    made = saved.create_list(ANA, " Bars ", " in Graça ")
    assert (made.name, made.description) == ("Bars", "in Graça")
    clock.moment = LATER
    renamed = saved.change_list(ANA, made.id, made.version, name="Pubs")
    assert (renamed.name, renamed.description, renamed.version) == ("Pubs", "in Graça", 2)
    assert renamed.changed_at == LATER
    assert saved.change_list(ANA, made.id, None, description="").name == "Pubs"
    assert [found.id for found in saved.lists(ANA, None, 9)] == [made.id]
    saved.remove_list(ANA, made.id)
    assert saved.lists(ANA, None, 9) == []


def test_places_are_saved_at_the_end_and_moved(saved: SavedPlaces) -> None:
    made, places = fill(saved, *"abcde")
    assert [place.ordinal for place in places] == [1, 2, 3, 4, 5]
    for name, target, expected in (("b", 4, "acdbe"), ("e", 1, "eacdb"), ("a", 99, "ecdba"), ("e", -1, "ecdba")):
        place = next(place for place in saved.all_places(ANA, made) if place.name == name)
        moved = saved.change(ANA, made, place.id, place.version, PlaceChange(ordinal=target))
        assert moved.version == place.version + 1
        assert order(saved, made) == expected
    saved.remove(ANA, made, places[2].id)
    assert order(saved, made) == "edba"


@pytest.mark.parametrize(
    ("old", "new", "shift"), [(2, 2, (2, 1, 0)), (2, 4, (3, 4, -1)), (4, 2, (2, 3, 1)), (1, 2, (2, 2, -1))]
)
def test_what_makes_room_for_a_place_that_moves(old: int, new: int, shift: tuple[int, int, int]) -> None:
    assert shift_between(old, new) == shift


def test_a_place_of_ours_is_saved_with_its_name_and_position(saved: SavedPlaces) -> None:
    made = saved.create_list(ANA, "L").id
    place = saved.save_known(ANA, made, 4, " fish ")
    assert (place.name, place.note, place.latitude, place.place_id) == ("Lisbon, Portugal", "fish", 38.72509, 4)
    with pytest.raises(NotFound, match="no place with the id 99"):
        saved.save_known(ANA, made, 99)


def test_only_what_is_given_is_changed(saved: SavedPlaces) -> None:
    made, (place,) = fill(saved, "a")
    changed = saved.change(ANA, made, place.id, 1, PlaceChange(note=" n ", longitude=3))
    assert (changed.name, changed.note, changed.latitude, changed.longitude) == ("a", "n", 1, 3)
    assert saved.get(ANA, made, place.id) == changed
    with pytest.raises(ValueError, match="latitude"):
        saved.change(ANA, made, place.id, 2, PlaceChange(latitude=91))


Use = Callable[[SavedPlaces, int, int, int], object]
EVERYTHING: dict[str, Use] = {
    "get_list": lambda saved, who, made, place: saved.get_list(who, made),
    "change_list": lambda saved, who, made, place: saved.change_list(who, made, None, name="x"),
    "remove_list": lambda saved, who, made, place: saved.remove_list(who, made),
    "places": lambda saved, who, made, place: saved.places(who, made, None, 9),
    "all_places": lambda saved, who, made, place: saved.all_places(who, made),
    "get": lambda saved, who, made, place: saved.get(who, made, place),
    "save": lambda saved, who, made, place: saved.save(who, made, PlaceDraft("x", 0, 0)),
    "save_known": lambda saved, who, made, place: saved.save_known(who, made, 4),
    "change": lambda saved, who, made, place: saved.change(who, made, place, None, PlaceChange(name="x")),
    "remove": lambda saved, who, made, place: saved.remove(who, made, place),
}


@pytest.mark.parametrize("use", EVERYTHING.values(), ids=EVERYTHING)
def test_somebody_elses_list_is_as_good_as_none(saved: SavedPlaces, use: Use) -> None:
    made, (place,) = fill(saved, "a")
    with pytest.raises(NotFound) as theirs:
        use(saved, BEN, made, place.id)
    assert order(saved, made) == "a"
    assert saved.get_list(ANA, made).name == "L"
    saved.remove_list(ANA, made)
    with pytest.raises(NotFound) as gone:
        use(saved, ANA, made, place.id)
    assert str(theirs.value) == str(gone.value)


def test_every_use_case_is_tried_by_somebody_else() -> None:
    uses = {name for name, value in vars(SavedPlaces).items() if callable(value) and not name.startswith("_")}
    assert uses - set(EVERYTHING) == {"lists", "create_list"}


def test_a_place_of_another_list_is_not_in_this_one(saved: SavedPlaces) -> None:
    made, _ = fill(saved, "a")
    _, (place,) = fill(saved, "b")
    with pytest.raises(NotFound, match="in this list"):
        saved.remove(ANA, made, place.id)


def test_what_was_changed_meanwhile_is_not_overwritten(saved: SavedPlaces) -> None:
    made, (place,) = fill(saved, "a")
    saved.change(ANA, made, place.id, 1, PlaceChange(name="b"))
    saved.change_list(ANA, made, 1, name="M")
    with pytest.raises(Stale):
        saved.change(ANA, made, place.id, 1, PlaceChange(name="c"))
    with pytest.raises(Stale):
        saved.remove(ANA, made, place.id, 1)
    with pytest.raises(Stale):
        saved.change_list(ANA, made, 1, name="N")
    with pytest.raises(Stale):
        saved.remove_list(ANA, made, 1)
    assert order(saved, made) == "b"


def test_there_is_an_end_to_lists_and_places(saved: SavedPlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_PLACES", 1)
    monkeypatch.setattr(services, "MOST_LISTS", 1)
    made, _ = fill(saved, "a")
    with pytest.raises(Conflict, match="1 places"):
        saved.save(ANA, made, PlaceDraft("b", 0, 0))
    with pytest.raises(Conflict, match="1 lists"):
        saved.create_list(ANA, "M")
    assert saved.create_list(BEN, "M").owner_id == BEN


Ask = Callable[[SavedPlaces], object]


def at_once(open_saved: OpenSaved, asks: list[Ask]) -> list[object]:
    """Do all at the same moment, each after a look, and return what each gave or raised."""
    gate = threading.Barrier(len(asks))

    def do(ask: Ask) -> object:
        with open_saved() as saved:
            saved.lists(ANA, None, 9)  # as authentication does: from now on SQLite has each reading
            gate.wait(60)
            try:
                return ask(saved)
            except Conflict as error:
                return error

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(do, asks))


def changing(made: int, place: int, version: int | None, **change: Any) -> Ask:
    return lambda saved: saved.change(ANA, made, place, version, PlaceChange(**change))


def test_of_those_who_change_the_same_at_once_one_wins_and_the_others_know(open_saved: OpenSaved) -> None:
    with open_saved() as saved:
        made, (place,) = fill(saved, "a")
    found = at_once(open_saved, [changing(made, place.id, 1, name=name) for name in "bcde"])
    (won,) = [one for one in found if isinstance(one, SavedPlace)]
    assert sum(isinstance(one, Stale) for one in found) == 3
    lists = at_once(open_saved, [lambda saved: saved.change_list(ANA, made, 1, name="M")] * 4)
    assert sum(isinstance(one, Stale) for one in lists) == 3
    with open_saved() as saved:
        assert saved.get(ANA, made, place.id).name == won.name
        assert saved.get_list(ANA, made).version == 2


def test_those_who_change_different_things_at_once_lose_nothing(open_saved: OpenSaved) -> None:
    with open_saved() as saved:
        made, places = fill(saved, *"abcd")
    noting = [changing(made, place.id, None, note="n") for place in places]
    moving = [changing(made, place.id, None, ordinal=1) for place in places]
    saving: list[Ask] = [lambda saved: saved.save(ANA, made, PlaceDraft("x", 0, 0))] * 4
    found = [at_once(open_saved, asks) for asks in (noting[:2] + moving[:2] + saving[:2], noting[2:] + moving[2:])]
    assert not [one for some in found for one in some if isinstance(one, Exception)]
    with open_saved() as saved:
        assert sorted(order(saved, made)) == list("abcdxx")
        assert [place.note for place in saved.all_places(ANA, made) if place.name != "x"] == ["n"] * 4
    removed = at_once(open_saved, [lambda saved, p=place: saved.remove(ANA, made, p.id) for place in places])
    assert removed == [None] * 4
    with open_saved() as saved:
        assert order(saved, made) == "xx"
