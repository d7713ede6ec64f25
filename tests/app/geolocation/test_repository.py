from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event

from app.database.session import Session
from app.geolocation.dataset import Dataset
from app.geolocation.repository import InMemoryPlaceRepository, PlaceRepository, SqlPlaceRepository
from app.geolocation.seeding import seed
from app.geolocation.utils import box_around


@pytest.fixture(params=["sql", "memory"])
def repository(request: pytest.FixtureRequest, engine: Engine, session: Session, atlas: Dataset) -> PlaceRepository:
    """Both adapters: what they must have in common is tested once."""
    if request.param == "memory":
        return InMemoryPlaceRepository(atlas.places)
    seed(engine, "atlas", lambda: atlas, datetime.now(UTC))
    return SqlPlaceRepository(session)


def test_a_place_comes_back_whole(repository: PlaceRepository, atlas: Dataset) -> None:
    for entry in atlas.places:
        assert repository.by_id(entry.place.id) == entry.place
    assert repository.by_id(99) is None


def test_many_come_in_the_order_asked_for(repository: PlaceRepository) -> None:
    assert [place.id for place in repository.by_ids([6, 99, 1, 4])] == [6, 1, 4]
    assert repository.by_ids([]) == []


def test_exact_names_largest_first(repository: PlaceRepository) -> None:
    assert repository.ids_by_name("paris", 10) == [1, 6]
    assert repository.ids_by_name("paris", 1) == [1]
    assert repository.ids_by_name("pari", 10) == []
    assert repository.ids_by_name("париж", 10) == [1]


def test_prefixes_largest_first_each_place_once(repository: PlaceRepository) -> None:
    assert repository.ids_by_prefix("par", 10) == [1, 2, 6]
    assert repository.ids_by_prefix("lis", 10) == [4, 5]
    assert repository.ids_by_prefix("l", 10) == [1, 4, 5, 7]
    assert repository.ids_by_prefix("l", 2) == [1, 4]
    assert repository.ids_by_prefix("%", 10) == repository.ids_by_prefix("_aris", 10) == []


def test_the_nearest_in_a_box(repository: PlaceRepository) -> None:
    found = repository.nearest_in(box_around(48.86, 2.35, 25), 48.86, 2.35, 10)
    assert [located.place_id for located in found] == [1, 3], "without the quarter"
    assert found[0].distance_km == pytest.approx(0.738, abs=0.001)
    assert repository.nearest_in(box_around(48.86, 2.35, 25), 48.86, 2.35, 1) == found[:1]
    assert repository.nearest_in(box_around(0, 0, 25), 0, 0, 10) == []


def test_a_box_across_the_antimeridian(repository: PlaceRepository) -> None:
    found = repository.nearest_in(box_around(-17, 179.9, 200), -17, 179.9, 10)
    assert {located.place_id for located in found} == {7, 8}


class TestFullTable:
    """The plan that SQLite makes with all the places there are."""

    def plans(self, engine: Engine, ask) -> list[str]:
        """What EXPLAIN QUERY PLAN says about each statement that ``ask`` makes."""
        statements: list[tuple[str, object]] = []

        def note(connection, cursor, statement, parameters, context, executemany) -> None:
            statements.append((statement, parameters))

        event.listen(engine, "before_cursor_execute", note)
        with Session(engine) as session:
            ask(SqlPlaceRepository(session))
        event.remove(engine, "before_cursor_execute", note)
        with engine.connect() as connection:
            return [
                " | ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
                for statement, parameters in statements
                if statement.startswith("SELECT")
            ]

    @pytest.mark.parametrize(
        ("ask", "expected"),
        [
            (lambda r: r.by_ids([1, 2, 3]), "SEARCH places USING INTEGER PRIMARY KEY (rowid=?)"),
            (
                lambda r: r.ids_by_name("paris", 10),
                "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name=?)",
            ),
            (
                lambda r: r.ids_by_prefix("s", 10),
                "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name>? AND name<?)",
            ),
            (
                lambda r: r.nearest_in(box_around(48.86, 2.35, 25), 48.86, 2.35, 10),
                "SEARCH places USING COVERING INDEX ix_places_position (meridian=? AND latitude>? AND latitude<?)",
            ),
        ],
        ids=["ids", "name", "prefix", "nearest"],
    )
    def test_indexes_are_used_and_nothing_is_scanned(self, full: Engine, ask, expected: str) -> None:
        (plan,) = self.plans(full, ask)
        assert expected in plan
        assert "SCAN" not in plan

    def test_a_prefix_stops_at_the_tier_where_it_has_enough(self, full: Engine) -> None:
        """Sorting within tiers only is what lets it stop."""
        (plan,) = self.plans(full, lambda r: r.ids_by_prefix("s", 10))
        assert "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY" in plan or "LAST 2 TERMS OF ORDER BY" in plan
