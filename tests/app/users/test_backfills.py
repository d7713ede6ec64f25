import pytest
from sqlalchemy import Engine, insert, select, update

from app.users.backfills import split_names
from app.users.tables import users
from app.users.utils import split_name
from tests.app.backfills.test_runner import rows
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


NAMES = [
    "Ada Byron King",
    "Ada  King",
    "Teller",
    "Ada ",
    " Ada",
    " ",
    "Åsa Ö",
    "Zoë e\u0301tienne Ñandú",
    "李 小龙",
    "a" * 100,
]


def test_every_database_splits_names_as_the_application_does(engine: Engine) -> None:
    with engine.begin() as connection:
        made = [{**row, "name": name} for row, name in zip(rows(1, len(NAMES) + 1), NAMES, strict=True)]
        connection.execute(insert(users), made)
        assert split_names(connection, 0, len(NAMES)) == len(NAMES)
        found = connection.execute(select(users.c.given_name, users.c.family_name).order_by(users.c.id)).all()
    assert [tuple(row) for row in found] == [split_name(name) for name in NAMES]


def test_only_a_range_is_filled_and_what_is_filled_stays(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(users), rows(1, 6))
        known = {"given_name": "Ada", "family_name": "Byron King"}
        connection.execute(update(users).where(users.c.id == 3).values(known))
        assert split_names(connection, 1, 4) == 2
        assert split_names(connection, 1, 4) == 0
        found = connection.execute(select(users.c.given_name, users.c.family_name).order_by(users.c.id)).all()
    assert [tuple(row) for row in found] == [
        (None, None),
        ("Given2", "Family"),
        ("Ada", "Byron King"),
        ("Given4", "Family"),
        (None, None),
    ]
