import dataclasses

import pytest

from app.database.transaction import Transaction
from app.saved_places.models import PlaceDraft
from app.saved_places.repository import SavedPlaceRepository
from tests.app.saved_places.conftest import ANA, BEN, LATER, NOW
from tests.support.postgres import DATABASES


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


def drafts(*names: str) -> list[PlaceDraft]:
    return [PlaceDraft(name, 38.123456789012345, -9.5, "a\nnote", 4) for name in names]


def order(repository: SavedPlaceRepository, list_id: int) -> list[tuple[int, str]]:
    return [(place.ordinal, place.name) for place in repository.places_in(list_id, None, 99)]


def test_a_list_comes_back_whole_until_it_is_removed(
    repository: SavedPlaceRepository, transaction: Transaction
) -> None:
    made = repository.add_list(ANA, "Bars", "in Graça", NOW)
    transaction.commit()
    assert repository.list_by_id(made.id) == made
    assert (made.owner_id, made.size, made.version, made.created_at) == (ANA, 0, 1, NOW)
    repository.change_list(dataclasses.replace(made, name="Pubs", version=2))
    repository.add(made.id, 1, drafts("a"), NOW)
    locked = repository.lock(made.id, LATER)
    assert locked == dataclasses.replace(made, name="Pubs", version=2, size=1, changed_at=LATER)
    (place,) = repository.places_in(made.id, None, 9)
    repository.remove_list(made.id)
    assert repository.list_by_id(made.id) is None
    assert repository.lock(made.id, LATER) is None
    assert repository.place_by_id(made.id, place.id) is None


def test_lists_of_a_user_come_page_by_page(repository: SavedPlaceRepository) -> None:
    made = [repository.add_list(owner, "L", "", NOW).id for owner in (ANA, BEN, ANA, ANA)]
    assert [found.id for found in repository.lists_of(ANA, None, 2)] == [made[0], made[2]]
    assert [found.id for found in repository.lists_of(ANA, (made[2],), 2)] == [made[3]]
    assert (repository.count_lists(ANA), repository.count_lists(BEN)) == (3, 1)


def test_places_come_back_whole_and_in_order(repository: SavedPlaceRepository) -> None:
    made, other = repository.add_list(ANA, "L", "", NOW).id, repository.add_list(ANA, "M", "", NOW).id
    repository.add(made, 1, drafts("a", "b", "c"), NOW)
    repository.add(made, 4, [], NOW)
    assert order(repository, made) == [(1, "a"), (2, "b"), (3, "c")]
    assert [place.ordinal for place in repository.places_in(made, (1,), 1)] == [2]
    first = repository.places_in(made, None, 1)[0]
    assert repository.place_by_id(made, first.id) == first
    assert repository.place_by_id(other, first.id) is None
    kept = {field.name: getattr(first, field.name) for field in dataclasses.fields(PlaceDraft)}
    assert PlaceDraft(**kept) == drafts("a")[0]


def test_places_are_changed_shifted_and_removed(repository: SavedPlaceRepository) -> None:
    made, other = repository.add_list(ANA, "L", "", NOW).id, repository.add_list(ANA, "M", "", NOW).id
    for list_id in (made, other):
        repository.add(list_id, 1, drafts("a", "b", "c"), NOW)
    first, second, _ = repository.places_in(made, None, 9)
    changed = dataclasses.replace(first, name="A", note="", latitude=1.0, ordinal=3, version=2, changed_at=LATER)
    repository.shift(made, 2, 3, -1)
    repository.change(changed)
    assert repository.place_by_id(made, first.id) == changed
    assert order(repository, made) == [(1, "b"), (2, "c"), (3, "A")]
    repository.remove(dataclasses.replace(second, ordinal=1))
    assert order(repository, made) == [(2, "c"), (3, "A")]
    assert order(repository, other) == [(1, "a"), (2, "b"), (3, "c")]
    sizes = [found.size for found in repository.lists_of(ANA, None, 9)]
    assert sizes == [2, 3]
