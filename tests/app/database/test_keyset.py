from itertools import product

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select

from app.database.keyset import beyond
from app.database.session import Session
from tests.support.postgres import DATABASES

ROWS = [(name, number) for name in ("", "a", "b", "ab") for number in range(3)]
things = Table("things", MetaData(), Column("name", String(5)), Column("number", Integer), prefixes=["TEMPORARY"])


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_pages_follow_one_another_in_any_order(engine: Engine) -> None:
    with Session(engine) as session:
        things.create(session.connection)
        session.execute(insert(things), [{"name": name, "number": number} for name, number in ROWS])
        for down in product([False, True], repeat=2):
            columns = (things.c.number, things.c.name)
            order = [column.desc() if back else column for column, back in zip(columns, down, strict=True)]
            whole = [tuple(row) for row in session.execute(select(*columns).order_by(*order))]
            assert len(whole) == len(ROWS)
            for at, position in enumerate(whole):
                condition = beyond(position, *columns, descending=down)
                found = session.execute(select(*columns).where(condition).order_by(*order))
                assert [tuple(row) for row in found] == whole[at + 1 :]


def test_a_position_of_another_list_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected 2 values, got 1"):
        beyond(("a",), things.c.name, things.c.number)
