from sqlalchemy import Engine, insert, select, update

from app.users.backfills import split_names
from app.users.tables import users
from tests.app.backfills.test_runner import rows


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
