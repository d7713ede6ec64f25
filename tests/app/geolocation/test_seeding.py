import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from sqlalchemy import Engine, func, select

from app.database.session import Session
from app.geolocation.dataset import Dataset
from app.geolocation.models import Country, NamedPlace
from app.geolocation.repository import SqlPlaceRepository
from app.geolocation.seeding import Seeded, checksum, seed
from app.geolocation.tables import datasets, place_names, places
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def count(engine: Engine) -> tuple[int, int]:
    with Session(engine) as session:
        return tuple(
            session.execute(select(func.count()).select_from(table)).scalar_one() for table in (places, place_names)
        )


def test_the_first_run_loads_everything_and_the_second_nothing(engine: Engine, atlas: Dataset) -> None:
    assert seed(engine, "one", lambda: atlas, NOW) == Seeded(added=len(atlas.places))
    assert count(engine) == (8, sum(len(entry.names) for entry in atlas.places))

    def never() -> NoReturn:
        raise AssertionError("the data is read although it is loaded")

    assert seed(engine, "one", never, NOW) is None


def test_another_version_of_the_data_changes_what_differs(engine: Engine, atlas: Dataset) -> None:
    seed(engine, "one", lambda: atlas, NOW)
    first, second, third, *others = atlas.places
    changed = dataclasses.replace(first.place, population=3_000_000, country=Country("FR", "Gaul"))
    renamed = NamedPlace(second.place, frozenset({"quatrieme"}))
    new = NamedPlace(dataclasses.replace(third.place, id=99, name="New"), frozenset({"new"}))
    countries = [Country(c.code, "Gaul" if c.code == "FR" else c.name) for c in atlas.countries] + [
        Country("IT", "Italy")
    ]
    wanted = Dataset(countries, [NamedPlace(changed, first.names), renamed, new, *others])
    assert seed(engine, "two", lambda: wanted, NOW) == Seeded(added=1, changed=2, removed=1)
    with Session(engine) as session:
        repository = SqlPlaceRepository(session)
        found = repository.by_ids([entry.place.id for entry in wanted.places])
        assert [place.population for place in found[:1]] == [3_000_000]
        assert found[0].country.name == "Gaul"
        assert repository.ids_by_name("quatrieme", 5) == [second.place.id]
        assert repository.ids_by_name("paris 04 hotel de ville", 5) == []
        assert repository.by_id(third.place.id) is None
        assert repository.ids_by_name("montrouge", 5) == [], "names go with their place"
        assert session.execute(select(datasets.c.fingerprint)).scalars().all() == ["two"]


def test_data_under_another_name_but_the_same_is_not_written_again(engine: Engine, atlas: Dataset) -> None:
    seed(engine, "one", lambda: atlas, NOW)
    assert seed(engine, "two", lambda: atlas, NOW) == Seeded()


def test_a_failure_leaves_the_old_data(engine: Engine, atlas: Dataset) -> None:
    seed(engine, "one", lambda: atlas, NOW)
    before = count(engine)
    broken = Dataset([], [NamedPlace(dataclasses.replace(atlas.places[0].place, name=None), frozenset({"x"}))])
    with pytest.raises(Exception, match=r"(?i)not[- ]null|cannot be null"):
        seed(engine, "two", lambda: broken, NOW)
    assert count(engine) == before
    assert seed(engine, "one", lambda: atlas, NOW) is None


def test_of_several_that_load_at_once_one_does(engine: Engine, atlas: Dataset) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: seed(engine, "one", lambda: atlas, NOW), range(4)))
    assert sorted(done, key=lambda seeded: seeded is None) == [Seeded(added=len(atlas.places)), None, None, None]


def test_readers_go_on_meanwhile(engine: Engine, atlas: Dataset) -> None:
    seen: list[tuple[int, int]] = []

    def read() -> Dataset:
        seen.append(count(engine))
        return atlas

    seed(engine, "one", read, NOW)
    assert seen == [(0, 0)]


def test_the_checksum_covers_place_and_names(atlas: Dataset) -> None:
    entry = atlas.places[0]
    other_place = NamedPlace(dataclasses.replace(entry.place, part_of=9), entry.names)
    other_names = NamedPlace(entry.place, entry.names | {"x"})
    assert len({checksum(entry), checksum(other_place), checksum(other_names)}) == 3
    assert checksum(entry) == checksum(NamedPlace(dataclasses.replace(entry.place), frozenset(entry.names)))
