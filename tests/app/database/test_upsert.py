from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select

from app.database.session import Session
from app.database.upsert import add_or_change
from app.geolocation.tables import countries
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_of_many_at_once_one_adds_and_the_others_change(engine: Engine) -> None:
    changes = {"name": countries.c.name + "x"}

    def put(number: int) -> None:
        with Session(engine) as session:
            row = {"code": "PT", "name": "Portugal"}
            session.execute(add_or_change(engine.dialect.name, countries, row, changes))
            session.commit()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, range(16)))
    with Session(engine) as session:
        assert session.execute(select(countries.c.name)).scalars().all() == ["Portugal" + "x" * 15]
