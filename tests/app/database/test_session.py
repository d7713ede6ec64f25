import pytest
from sqlalchemy import Engine, Executable, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import QueuePool

from app.database.session import Session, writes
from app.geolocation.tables import countries
from tests.support.postgres import DATABASES

PORTUGAL = insert(countries).values(code="PT", name="Portugal")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return [row.name for row in session.execute(select(countries))]


def test_a_connection_is_taken_at_the_first_statement_and_given_back(engine: Engine) -> None:
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    with Session(engine) as session:
        assert pool.checkedout() == 0
        session.execute(select(countries))
        session.execute(select(countries))
        assert pool.checkedout() == 1
    assert pool.checkedout() == 0


def test_only_what_is_committed_lasts(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(PORTUGAL)
    assert names(engine) == []
    with Session(engine) as session:
        session.execute(PORTUGAL)
        session.commit()
        session.execute(insert(countries).values(code="FR", name="France"))
    assert names(engine) == ["Portugal"]


def test_a_savepoint_loses_only_its_own_statements(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(PORTUGAL)
        with pytest.raises(IntegrityError), session.savepoint():
            session.execute(PORTUGAL)
        session.commit()
    assert names(engine) == ["Portugal"]


def test_what_others_wrote_since_the_first_read_is_no_obstacle_and_is_seen(engine: Engine) -> None:
    """SQLite alone would refuse: its reader has one state of the data, and could only write to that."""
    with Session(engine) as session, Session(engine) as other:
        assert session.execute(select(countries)).all() == []
        other.execute(PORTUGAL)
        other.commit()
        session.execute(insert(countries).values(code="FR", name="France"))
        assert len(session.execute(select(countries)).all()) == 2
        session.commit()
        other.execute(insert(countries).values(code="ES", name="Spain"))
        other.commit()
    assert sorted(names(engine)) == ["France", "Portugal", "Spain"]


def test_a_reader_keeps_nobody_from_writing(engine: Engine) -> None:
    """Nor does one that has written before."""
    with Session(engine) as session, Session(engine) as other:
        session.execute(PORTUGAL)
        session.commit()
        assert len(session.execute(select(countries)).all()) == 1
        assert session.reader.exec_driver_sql("SELECT count(*) FROM countries").scalar() == 1
        other.execute(insert(countries).values(code="ES", name="Spain"))
        other.commit()


def test_what_was_written_by_the_connection_itself_is_kept(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(select(countries))
        session.connection.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
        session.execute(insert(countries).values(code="ES", name="Spain"))
        session.commit()
    assert sorted(names(engine)) == ["Portugal", "Spain"]


@pytest.mark.parametrize("writer", [PORTUGAL, delete(countries), select(countries).with_for_update()])
def test_what_changes_rows_or_holds_them_writes(writer: Executable) -> None:
    assert writes(writer)
    assert not writes(select(countries))


def test_a_connection_that_only_read_is_as_before_for_whoever_takes_it_next(engine: Engine) -> None:
    """On SQLite statements of a session that only reads are in no transaction; others' are."""
    with Session(engine) as session:
        session.execute(select(countries))
    with engine.connect() as connection:
        connection.execute(PORTUGAL)
        connection.rollback()
    assert names(engine) == []


def test_each_statement_sees_what_is_committed_by_then(engine: Engine) -> None:
    with Session(engine) as session, Session(engine) as other:
        assert session.execute(select(countries)).all() == []
        other.execute(PORTUGAL)
        other.commit()
        assert len(session.execute(select(countries)).all()) == 1


def test_what_is_rolled_back_was_not_and_the_session_goes_on(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(PORTUGAL)
        session.rollback()
        session.execute(insert(countries).values(code="ES", name="Spain"))
        session.commit()
    assert names(engine) == ["Spain"]


def test_an_unused_session_does_nothing(engine: Engine) -> None:
    with Session(engine) as session:
        session.commit()
        session.close()
    assert session.opened is None


def test_what_is_held_lasts_with_the_commit_after_it(engine: Engine) -> None:
    with Session(engine) as session:
        session.hold()
        session.execute(PORTUGAL)
        session.commit()
        assert not session.lasts
    assert names(engine) == []
    with Session(engine) as session:
        session.hold()
        session.execute(PORTUGAL)
        session.let_go()
        session.commit()
    assert names(engine) == ["Portugal"]
