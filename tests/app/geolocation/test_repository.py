from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.database.session import Session
from app.geolocation import repository as repositories
from app.geolocation.dataset import Dataset
from app.geolocation.models import Country
from app.geolocation.repository import InMemoryPlaceRepository, PlaceRepository, SqlPlaceRepository
from app.geolocation.seeding import seed
from app.geolocation.services import Places
from app.geolocation.utils import Area, box_around
from tests.support.postgres import DATABASES


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def repository(request: pytest.FixtureRequest, adapter: str, atlas: Dataset) -> PlaceRepository:
    if adapter == "memory":
        return InMemoryPlaceRepository(atlas.places)
    seed(request.getfixturevalue("engine"), "atlas", lambda: atlas, datetime.now(UTC))
    return SqlPlaceRepository(request.getfixturevalue("session"))


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


def test_positions_of_large_places_without_quarters(repository: PlaceRepository) -> None:
    assert repository.positions(25_000) == [(48.85341, 2.3488), (38.72509, -9.1498), (48.8162, 2.3139)]


def test_names_in_one_country(repository: PlaceRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    for common in (2000, 1):  # from the end of the names, and from that of the places
        monkeypatch.setattr(repositories, "COMMON", common)
        assert repository.ids_by_name("paris", 10, "US") == [6]
        assert repository.ids_by_prefix("par", 10, "FR") == [1, 2]
        assert repository.ids_by_prefix("l", 10, "US") == [5]
        assert repository.ids_by_prefix("l", 10, "FR") == [1], "Lutetia"
        assert repository.ids_by_prefix("par", 10, "XX") == []
        assert repository.ids_by_prefix("par", 1, "FR") == [1]


@pytest.mark.parametrize(
    ("area", "ids"),
    [
        (Area(-90, -180, 90, 180), [1, 4, 3, 2, 6, 5, 7, 8]),
        (Area(48.8, 2.3, 48.9, 2.4), [1, 3, 2]),
        (Area(48.85341, 2.3488, 48.85341, 2.3488), [1]),
        (Area(48.85342, 2.3, 48.9, 2.4), [2]),
        (Area(-20, 178, -10, -179), [7, 8]),
        (Area(-20, 178, -10, 180), [7]),
        (Area(-20, -180, -10, 178), [8]),
        (Area(-20, -179, -10, 178), []),
        (Area(0, -10, 90, 3), [1, 4, 3, 2]),
    ],
)
def test_the_largest_in_an_area(repository: PlaceRepository, area: Area, ids: list[int]) -> None:
    assert repository.ids_within(area, 10) == ids
    assert repository.ids_within(area, 1) == ids[:1]
    assert repository.ids_within(area, 10, "FR") == [found for found in ids if found in (1, 2, 3)]


def test_places_of_a_country_come_page_by_page(repository: PlaceRepository) -> None:
    first = repository.in_country("FR", None, 2)
    assert [place.id for place in first] == [1, 3]
    assert [place.id for place in repository.in_country("FR", (first[1].population, first[1].id), 2)] == [2]
    assert repository.in_country("XX", None, 2) == []


def test_countries(repository: PlaceRepository) -> None:
    assert [country.code for country in repository.countries()] == ["FJ", "FR", "PT", "US"]
    assert repository.country("PT") == Country("PT", "Portugal")
    assert repository.country("XX") is None


Ask = Callable[[PlaceRepository], object]

ASKED: dict[str, Ask] = {
    "ids": lambda places: places.by_ids([1, 2, 3]),
    "name": lambda places: places.ids_by_name("paris", 10),
    "prefix": lambda places: places.ids_by_prefix("s", 10),
    "nearest": lambda places: places.nearest_in(box_around(48.86, 2.35, 25), 48.86, 2.35, 10),
    "name in a country": lambda places: places.ids_by_name("paris", 10, "US"),
    "rare prefix in a country": lambda places: places.ids_by_prefix("santa mar", 10, "US"),
    "common prefix in a country": lambda places: places.ids_by_prefix("s", 10, "US"),
    "area": lambda places: places.ids_within(Area(-90, -180, 90, 180), 50),
    "country": lambda places: places.in_country("US", (10_000, 5), 20),
}


def selects(engine: Engine, ask: Ask) -> list[tuple[str, object]]:
    """The statements that ``ask`` makes, with their parameters."""
    statements: list[tuple[str, object]] = []

    def note(connection, cursor, statement, parameters, context, executemany) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with Session(engine) as session:
        ask(SqlPlaceRepository(session))
    event.remove(engine, "before_cursor_execute", note)
    return [(statement, parameters) for statement, parameters in statements if statement.startswith("SELECT")]


class TestFullTableOnSqlite:
    """The plan that SQLite makes with all the places there are."""

    def plan(self, engine: Engine, asked: str) -> str:
        *_, (statement, parameters) = selects(engine, ASKED[asked])
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return " | ".join(row[3] for row in rows)

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("ids", "SEARCH places USING INTEGER PRIMARY KEY (rowid=?)"),
            ("name", "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name=?)"),
            (
                "prefix",
                "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name>? AND name<?)",
            ),
            (
                "nearest",
                "SEARCH places USING COVERING INDEX ix_places_position (meridian=? AND latitude>? AND latitude<?)",
            ),
            (
                "name in a country",
                "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name=?)",
            ),
            (
                "rare prefix in a country",
                "SEARCH place_names USING COVERING INDEX ix_place_names_search (tier=? AND name>? AND name<?)",
            ),
            (
                "common prefix in a country",
                "SEARCH places USING COVERING INDEX ix_places_country (country_code=?)",
            ),
            (
                "area",
                "places USING COVERING INDEX ix_places_area (tier=? AND meridian=? AND latitude>? AND latitude<?)",
            ),
            ("country", "SEARCH places USING INDEX ix_places_country (country_code=? AND population<?)"),
        ],
    )
    def test_indexes_are_used_and_nothing_is_scanned(self, full: Engine, asked: str, expected: str) -> None:
        plan = self.plan(full, asked)
        assert expected in plan
        assert "SCAN" not in plan

    def test_a_prefix_stops_at_the_tier_where_it_has_enough(self, full: Engine) -> None:
        """Sorting within tiers only is what lets it stop."""
        plan = self.plan(full, "prefix")
        assert "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY" in plan or "LAST 2 TERMS OF ORDER BY" in plan


class TestFullTableOnPostgresql:
    """The plan that PostgreSQL makes with all the places there are."""

    def steps(self, engine: Engine, asked: str) -> list[dict[str, Any]]:
        *_, (statement, parameters) = selects(engine, ASKED[asked])
        with engine.connect() as connection:
            explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            return list(walk(explained.scalar_one()[0]["Plan"]))

    @pytest.mark.parametrize(
        ("asked", "index", "condition"),
        [
            ("ids", "pk_places", "id = ANY"),
            ("name", "ix_place_names_search", "name = "),
            ("prefix", "ix_place_names_search", "name >= "),
            ("nearest", "ix_places_position", "latitude >= "),
            ("name in a country", "ix_place_names_search", "name = "),
            ("rare prefix in a country", "ix_place_names_search", "name >= "),
            ("common prefix in a country", "ix_places_country", "country_code)::text = "),
            ("common prefix in a country", "pk_place_names", "name >= "),
            ("area", "ix_places_area", "latitude >= "),
            ("country", "ix_places_country", "population <= "),
        ],
    )
    def test_indexes_are_used_and_no_large_table_is_scanned(
        self, full_on_postgresql: Engine, asked: str, index: str, condition: str
    ) -> None:
        steps = self.steps(full_on_postgresql, asked)
        assert any(step.get("Index Name") == index and condition in step["Index Cond"] for step in steps)
        scanned = {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"}
        assert scanned <= {"countries"}, "two pages: reading them is quicker than any index"

    def test_a_prefix_stops_at_the_tier_where_it_has_enough(self, full_on_postgresql: Engine) -> None:
        """Of 35,000 names with this letter it reads those of the largest places."""
        steps = self.steps(full_on_postgresql, "prefix")
        (sort,) = [step for step in steps if step["Node Type"] == "Incremental Sort"]
        assert [key.rpartition(".")[2] for key in sort["Presorted Key"]] == ["tier"]
        (scan,) = [step for step in steps if "Index Name" in step]
        assert scan["Actual Rows"] < 5000


class TestFullTableOnMariadb:
    """The plan that MariaDB makes with all the places there are."""

    def plans(self, engine: Engine, asked: str) -> list[dict[str, Any]]:
        made = selects(engine, ASKED[asked])
        with engine.connect() as connection:
            explained = (connection.exec_driver_sql(f"EXPLAIN {statement}", given) for statement, given in made)
            return [dict(row) for rows in explained for row in rows.mappings()]

    @pytest.mark.parametrize(
        ("asked", "index", "length"),
        [
            ("ids", "PRIMARY", 4),
            ("name", "ix_place_names_search", 4 + 802),
            ("prefix", "ix_place_names_search", 4 + 802),
            ("nearest", "ix_places_position", 4 + 8),
            ("area", "ix_places_area", 4 + 4 + 8 + 8),
        ],
    )
    def test_indexes_are_used_and_nothing_is_scanned(
        self, full_on_mariadb: Engine, asked: str, index: str, length: int
    ) -> None:
        """As many bytes of the key are looked up as the columns have that are asked about."""
        plans = self.plans(full_on_mariadb, asked)
        assert (plans[0]["type"], plans[0]["key"], int(plans[0]["key_len"])) == ("range", index, length)
        assert {plan["type"] for plan in plans} <= {"range", "eq_ref"}

    def test_a_prefix_stops_at_the_tier_where_it_has_enough(self, full_on_mariadb: Engine) -> None:
        """Of 35,000 names with this letter it reads those of the largest places."""
        (plan,) = self.plans(full_on_mariadb, "prefix")
        assert int(plan["rows"]) < 5000


def walk(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's steps, outermost first."""
    yield step
    for inner in step.get("Plans", ()):
        yield from walk(inner)


@pytest.fixture
def engines(full: Engine, full_on_postgresql: Engine, full_on_mariadb: Engine) -> tuple[Engine, ...]:
    return full, full_on_postgresql, full_on_mariadb


@pytest.mark.parametrize("text", ["s", "paris", "SÃO", "łódź", "москва", "ß", "İst", "'", "東京", "x y", "Å"])
def test_all_databases_find_the_same_whatever_case_accent_or_script(engines: tuple[Engine, ...], text: str) -> None:
    found = []
    for engine in engines:
        with Session(engine) as session:
            found.append(Places(SqlPlaceRepository(session)).search(text, 50))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("latitude", "longitude"), [(48.86, 2.35), (-17, 179.9), (89.9, 0), (0, -30), (-45.9, 170.5)])
def test_all_databases_find_the_same_around(engines: tuple[Engine, ...], latitude: float, longitude: float) -> None:
    found = []
    for engine in engines:
        with Session(engine) as session:
            found.append(Places(SqlPlaceRepository(session)).nearest(latitude, longitude, 20))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("country", [None, "US", "PT"])
@pytest.mark.parametrize("area", [Area(-90, -180, 90, 180), Area(30, -10, 45, 5), Area(-20, 170, 20, -170)])
def test_all_databases_find_the_same_in_an_area(engines: tuple[Engine, ...], area: Area, country: str | None) -> None:
    found = []
    for engine in engines:
        with Session(engine) as session:
            places = Places(SqlPlaceRepository(session))
            found.append((places.within(area, 50, country), places.search("san", 50, country)))
    assert found[1:] == found[:1] * 2


@pytest.mark.parametrize(
    ("use", "statements"),
    [
        (lambda places: places.get(2267057), 1),
        (lambda places: places.search("lisb", 10), 3),
        (lambda places: places.nearest(48.86, 2.35, 5), 2),
        (lambda places: places.search("lisb", 10, "PT"), 4),
        (lambda places: places.within(Area(-90, -180, 90, 180), 200), 2),
        (lambda places: places.in_country("PT", None, 100), 2),
    ],
    ids=["get", "search", "nearest", "search in a country", "within", "in a country"],
)
def test_a_request_costs_so_many_statements(full: Engine, use: Callable[[Places], object], statements: int) -> None:
    assert len(selects(full, lambda repository: use(Places(repository)))) == statements
