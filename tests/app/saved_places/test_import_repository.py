import dataclasses
from datetime import timedelta

import pytest

from app.database.transaction import Transaction
from app.saved_places.import_repository import ImportRepository
from app.saved_places.models import Fault, Format, Import, State
from app.saved_places.repository import SavedPlaceRepository
from tests.app.saved_places.conftest import ANA, LATER, NOW
from tests.support.postgres import DATABASES

BODY = b"name,latitude\xff\0\n" * 5000


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def list_id(repository: SavedPlaceRepository) -> int:
    return repository.add_list(ANA, "L", "", NOW).id


def begun(imports: ImportRepository, list_id: int) -> Import:
    found = imports.start(imports.add(list_id, Format.CSV, BODY, NOW).id, NOW)
    assert found is not None
    return found


def test_an_import_comes_back_whole(import_repository: ImportRepository, list_id: int) -> None:
    made = import_repository.add(list_id, Format.GEOJSON, BODY, NOW)
    assert (made.state, made.total, made.done, made.attempts) == (State.QUEUED, None, 0, 0)
    assert import_repository.by_id(made.id) == made
    assert import_repository.body(made.id) == BODY
    assert import_repository.by_id(made.id + 99) is None
    assert import_repository.body(made.id + 99) is None


def test_imports_of_a_list_come_newest_first(import_repository: ImportRepository, list_id: int) -> None:
    made = [import_repository.add(list_id, Format.CSV, b"", NOW).id for _ in range(3)]
    assert [found.id for found in import_repository.of_list(list_id, None, 2)] == [made[2], made[1]]
    assert [found.id for found in import_repository.of_list(list_id, (made[1],), 9)] == [made[0]]


def test_each_start_is_an_attempt_until_it_ends(import_repository: ImportRepository, list_id: int) -> None:
    first = begun(import_repository, list_id)
    again = import_repository.start(first.id, LATER)
    assert again == dataclasses.replace(first, attempts=2, changed_at=LATER, state=State.RUNNING)
    import_repository.measure(first.id, 7)
    import_repository.finish(first.id, State.FAILED, "why", LATER)
    assert import_repository.start(first.id, LATER) is None
    import_repository.finish(first.id, State.DONE, "", LATER)
    found = import_repository.by_id(first.id)
    assert found is not None
    assert (found.state, found.reason, found.total, found.finished_at) == (State.FAILED, "why", 7, LATER)
    assert import_repository.body(first.id) is None


def test_rows_are_counted_by_one(import_repository: ImportRepository, list_id: int, transaction: Transaction) -> None:
    first = begun(import_repository, list_id)
    second = dataclasses.replace(first, done=3, added=1, refused=2, attempts=0, changed_at=LATER)
    faults = [Fault(9, "no name"), Fault(4, "no number")]
    assert import_repository.advance(first, second, faults)
    assert not import_repository.advance(first, second, faults), "somebody was faster"
    transaction.commit()
    assert import_repository.by_id(first.id) == second
    assert import_repository.faults(first.id, None, 9) == faults[::-1]
    assert import_repository.faults(first.id, None, 1) == import_repository.faults(first.id, (3,), 1) == faults[1:]
    assert import_repository.faults(first.id, (9,), 9) == []
    import_repository.finish(first.id, State.DONE, "", LATER)
    assert not import_repository.advance(second, dataclasses.replace(second, done=4), [])


def test_what_gets_nowhere_is_found(import_repository: ImportRepository, list_id: int) -> None:
    queued = import_repository.add(list_id, Format.CSV, b"", NOW).id
    running = begun(import_repository, list_id).id
    import_repository.finish(begun(import_repository, list_id).id, State.DONE, "", NOW)
    assert import_repository.stalled(NOW) == []
    assert import_repository.stalled(LATER) == [queued, running]


def test_what_ended_long_ago_is_forgotten(import_repository: ImportRepository, list_id: int) -> None:
    running, old, new = (begun(import_repository, list_id) for _ in range(3))
    import_repository.advance(old, dataclasses.replace(old, done=1), [Fault(1, "x")])
    import_repository.finish(old.id, State.DONE, "", NOW)
    import_repository.finish(new.id, State.DONE, "", LATER)
    assert import_repository.remove_finished(NOW + timedelta(seconds=1)) == 1
    assert [found.id for found in import_repository.of_list(list_id, None, 9)] == [new.id, running.id]
    assert import_repository.faults(old.id, None, 9) == []
