from datetime import timedelta

import pytest

from app.clock import FixedClock
from app.errors import NotFound
from app.saved_places import importing
from app.saved_places.import_repository import ImportRepository
from app.saved_places.importing import BATCH, JOB, MOST_ATTEMPTS, Imports, batches, read
from app.saved_places.models import Fault, Format, Import, PlaceDraft, State
from app.saved_places.services import SavedPlaces
from tests.app.saved_places.conftest import ANA, BEN, NOW, Asked
from tests.support.postgres import DATABASES

HEADER = b"name,latitude,longitude\n"


@pytest.fixture(params=["memory", *DATABASES])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def made(saved: SavedPlaces) -> int:
    return saved.create_list(ANA, "L").id


def rows(count: int) -> bytes:
    return HEADER + b"".join(b"place %d,%d,2\n" % (number, number % 90) for number in range(1, count + 1))


def names(saved: SavedPlaces, made: int) -> list[str]:
    found = saved.all_places(ANA, made)
    assert [place.ordinal for place in found] == list(range(1, len(found) + 1))
    assert saved.get_list(ANA, made).size == len(found)
    return [place.name for place in found]


def test_a_file_becomes_places_and_faults(saved: SavedPlaces, imports: Imports, queue: Asked, made: int) -> None:
    saved.save(ANA, made, PlaceDraft("first", 0, 0))
    body = HEADER + b"a,1,2\n,1,2\nb,1,2\nc,91,2\n"
    begun = imports.begin(ANA, made, Format.CSV, body)
    assert (begun.state, begun.total, queue.jobs) == (State.QUEUED, None, [(JOB, {"import_id": begun.id})])
    assert imports.run(begun.id) == f"import {begun.id} done"
    done = imports.get(ANA, made, begun.id)
    assert (done.state, done.total, done.done, done.added, done.refused) == (State.DONE, 4, 4, 2, 2)
    assert imports.faults(ANA, made, begun.id, None, 9) == [
        Fault(3, "name is empty"),
        Fault(5, "latitude is not between -90 and 90"),
    ]
    assert names(saved, made) == ["first", "a", "b"]
    assert imports.of_list(ANA, made, None, 9) == [done]


def test_a_job_that_is_given_out_again_does_nothing_twice(saved: SavedPlaces, imports: Imports, made: int) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(3))
    imports.run(begun.id)
    assert imports.run(begun.id) == f"import {begun.id} has ended, or is gone"
    assert names(saved, made) == ["place 1", "place 2", "place 3"]


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing after it happens."""


def test_after_a_kill_it_goes_on_behind_the_last_batch(
    saved: SavedPlaces, imports: Imports, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    begun, steps, step = imports.begin(ANA, made, Format.CSV, rows(7)), [], Imports.step

    def killed_later(self: Imports, current: Import, batch: list[importing.Row]) -> Import | None:
        if len(steps) == 2:
            raise Killed
        steps.append(batch)
        return step(self, current, batch)

    monkeypatch.setattr(Imports, "step", killed_later)
    with pytest.raises(Killed):
        imports.run(begun.id)
    monkeypatch.setattr(Imports, "step", step)
    halfway = imports.get(ANA, made, begun.id)
    assert (halfway.state, halfway.done, halfway.total) == (State.RUNNING, 4, 7)
    assert imports.run(begun.id).endswith("done")
    assert names(saved, made) == [f"place {number}" for number in range(1, 8)]


def test_of_two_workers_with_the_same_import_one_leaves_it(
    saved: SavedPlaces, imports: Imports, made: int, import_repository: ImportRepository
) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(4))
    first = import_repository.start(begun.id, NOW)
    second = import_repository.start(begun.id, NOW)
    assert first is not None
    assert second is not None
    all_rows = read(Format.CSV, rows(4))
    assert imports.step(second, all_rows[:2]) is not None
    assert imports.step(first, all_rows[:2]) is None
    assert names(saved, made) == ["place 1", "place 2"]


def test_a_list_that_goes_takes_its_imports_along(saved: SavedPlaces, imports: Imports, made: int) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(1))
    other = saved.create_list(ANA, "M").id
    gone = imports.begin(ANA, other, Format.CSV, rows(1))
    saved.remove_list(ANA, other)
    assert "gone" in imports.run(gone.id)
    assert imports.run(begun.id).endswith("done")


@pytest.mark.parametrize(
    ("format_", "body", "why"),
    [
        (Format.CSV, b"nothing", "first line"),
        (Format.GEOJSON, b"{", "not JSON"),
        (Format.CSV, rows(10_001), "10000 rows"),
    ],
)
def test_a_file_that_can_not_be_read_fails_with_its_reason(
    imports: Imports, made: int, format_: Format, body: bytes, why: str
) -> None:
    begun = imports.begin(ANA, made, format_, body)
    imports.run(begun.id)
    failed = imports.get(ANA, made, begun.id)
    assert failed.state is State.FAILED
    assert why in failed.reason


def test_what_kills_each_worker_is_given_up(
    imports: Imports, made: int, monkeypatch: pytest.MonkeyPatch, import_repository: ImportRepository
) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(1))
    for _ in range(MOST_ATTEMPTS):
        import_repository.start(begun.id, NOW)
    imports.run(begun.id)
    assert imports.get(ANA, made, begun.id).reason == "Given up after 5 attempts."


def test_an_import_is_not_lost_with_the_queue(imports: Imports, made: int, queue: Asked, clock: FixedClock) -> None:
    queue.away = True
    begun = imports.begin(ANA, made, Format.CSV, rows(1))
    assert begun.state is State.QUEUED
    queue.away = False
    assert imports.resume() == 0, "it may be in hand"
    clock.moment = NOW + imports.patience + timedelta(seconds=1)
    assert imports.resume() == 1
    assert queue.jobs == [(JOB, {"import_id": begun.id})]
    imports.run(begun.id)
    assert imports.resume() == 0


def test_a_full_list_takes_what_has_room(
    saved: SavedPlaces, imports: Imports, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_PLACES", 3)
    monkeypatch.setattr(importing, "MOST_FAULTS", 1)
    saved.save(ANA, made, PlaceDraft("first", 0, 0))
    begun = imports.begin(ANA, made, Format.CSV, HEADER + b"a,1,2\n,,\nb,1,2\nc,1,2\nd,1,2\n")
    imports.run(begun.id)
    done = imports.get(ANA, made, begun.id)
    assert (done.added, done.refused) == (2, 2)
    assert names(saved, made) == ["first", "a", "b"]
    assert imports.faults(ANA, made, begun.id, None, 9) == [Fault(5, "the list is full: it has 3 places")]


def test_what_ended_a_month_ago_is_forgotten(imports: Imports, made: int, clock: FixedClock) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(1))
    imports.run(begun.id)
    assert imports.remove_old() == 0
    clock.moment = NOW + timedelta(days=31)
    assert imports.remove_old() == 1


def test_somebody_elses_imports_are_as_good_as_none(saved: SavedPlaces, imports: Imports, made: int) -> None:
    begun = imports.begin(ANA, made, Format.CSV, rows(1))
    other = saved.create_list(BEN, "M").id
    for list_id in (made, other):
        with pytest.raises(NotFound):
            imports.get(BEN, list_id, begun.id)
        with pytest.raises(NotFound):
            imports.faults(BEN, list_id, begun.id, None, 9)
    with pytest.raises(NotFound):
        imports.begin(BEN, made, Format.CSV, rows(1))
    with pytest.raises(NotFound):
        imports.of_list(BEN, made, None, 9)


def test_batches_have_all_rows_once() -> None:
    found = read(Format.CSV, rows(2 * BATCH + 1))
    assert [row for batch in batches(found) for row in batch] == found
    assert [len(batch) for batch in batches(found)] == [BATCH, BATCH, 1]
