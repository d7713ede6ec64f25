"""A real backfill on real rows: batches, kills, others who hold rows, a replica that is behind."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, func, insert, select, update

from app.backfills import pace
from app.backfills.pace import Signs
from app.backfills.runner import Elsewhere, Runner, Step, Stuck
from app.clock import FixedClock
from app.users.backfills import BACKFILLS, LACKING
from app.users.tables import users
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
(SPLIT,) = BACKFILLS
ROWS = 700


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rows(first: int, last: int) -> list[dict[str, object]]:
    """Users as the release before has written them."""
    common = {"password_hash": "x", "active": True, "created_at": NOW}
    return [{"id": n, "email": f"u{n}@example.org", "name": f"Given{n} Family", **common} for n in range(first, last)]


@pytest.fixture
def full(engine: Engine) -> Engine:
    """With some hundred of them."""
    with engine.begin() as connection:
        connection.execute(insert(users), rows(1, ROWS + 1))
    return engine


def lacking(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(users).where(LACKING)) or 0


def runner(engine: Engine, **changes: object) -> Runner:
    return replace(Runner(engine, SPLIT, FixedClock(NOW), lambda _: None, size=pace.SMALLEST), **changes)  # type: ignore[arg-type]


def test_every_row_is_filled_and_it_is_told(full: Engine) -> None:
    told: list[Step] = []
    done = runner(full, tell=told.append).run()
    assert (done.filled, done.finished_at, lacking(full)) == (ROWS, NOW, 0)
    assert len(told) > 2
    assert [step.position for step in told] == sorted(step.position for step in told)
    assert runner(full).run() == done, "nothing is left to be done"
    with full.connect() as connection:
        row = connection.execute(select(users).where(users.c.id == 7)).one()
    assert (row.name, row.given_name, row.family_name) == ("Given7 Family", "Given7", "Family")


def test_it_goes_on_where_it_was(full: Engine) -> None:
    leaving = threading.Event()
    first = runner(full, leaving=leaving, tell=lambda _: leaving.set()).run()
    assert 0 < first.filled < ROWS
    assert first.finished_at is None
    assert runner(full).run().filled == ROWS


def test_a_turn_has_its_time(full: Engine) -> None:
    assert runner(full, seconds=0).run().finished_at is None


def test_rows_that_an_old_release_wrote_meanwhile_are_found(full: Engine) -> None:
    wrote = False

    def write(step: Step) -> None:
        nonlocal wrote
        if not wrote:
            wrote = True
            with full.begin() as connection:
                connection.execute(update(users).where(users.c.id == 1).values(given_name=None, family_name=None))

    assert runner(full, tell=write).run().filled == ROWS + 1
    with full.begin() as connection:
        connection.execute(insert(users), rows(ROWS + 1, ROWS + 2))
    assert runner(full).run().filled == ROWS + 2, "and after it had finished"
    assert lacking(full) == 0


def test_of_two_one_goes_on(full: Engine) -> None:
    """The second comes between two batches of the first."""

    def interfere(step: Step) -> None:
        leaving = threading.Event()
        runner(full, leaving=leaving, tell=lambda _: leaving.set()).run()

    with pytest.raises(Elsewhere, match="another process"):
        runner(full, tell=interfere).run()
    assert runner(full).run().filled == ROWS


def test_one_that_fills_nothing_ends(full: Engine) -> None:
    idle = replace(SPLIT, fill=lambda connection, after, last: 0)
    with pytest.raises(Stuck, match="rows are left"):
        runner(full, backfill=idle, size=ROWS * 2).run()


def test_a_killed_one_loses_no_row_and_fills_none_twice(full: Engine, target, environ: dict[str, str]) -> None:
    """It is killed after each batch in turn, in the transaction of the next one."""
    code = (
        "import os, signal\n"
        "from app.users import backfills\n"
        "from app.users.backfills import split_names\n"
        "from sqlalchemy import Connection\n"
        "calls = []\n"
        "def once(connection, after, last):\n"
        "    calls.append(split_names(connection, after, last))\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return calls[-1]\n"
        "import dataclasses\n"
        "backfills.BACKFILLS = (dataclasses.replace(backfills.BACKFILLS[0], fill=once),)\n"
        "from app.cli import main\n"
        "import sys; sys.argv = ['x', 'backfill', 'run', 'users.split-names']\n"
        "main()\n"
    )
    variables = {**environ, "DATABASE_URL": target.url, "PATH": os.environ["PATH"]}
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = runner(full).run()
    assert (done.filled, lacking(full)) == (ROWS, 0)


class TestOnPostgresql:
    @pytest.fixture
    def database(self) -> str:
        return "postgresql"

    def test_rows_that_others_hold_are_waited_for(self, full: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.backfills.runner.LOCK_SECONDS", 0.05)
        told: list[str] = []
        with full.connect() as holder:
            transaction = holder.begin()
            holder.execute(update(users).where(users.c.id == 20).values(language="fr"))

            def tell(step: Step) -> None:
                told.append(step.waiting_for)
                if step.waiting_for and transaction.is_active:
                    transaction.commit()

            assert runner(full, tell=tell).run().filled == ROWS
        assert "others hold rows of the batch" in told

    def test_while_the_database_is_busy_nothing_is_done(self, full: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        signs = iter([Signs(waiting=1), Signs(lag_bytes=2**30), Signs()])
        monkeypatch.setattr(pace, "look", lambda connection: next(signs, Signs()))
        monkeypatch.setattr(pace, "LOOK_AGAIN", 0)
        told: list[Step] = []
        runner(full, tell=told.append).run()
        assert [step.waiting_for for step in told[:2]] == ["1 wait for a lock", "a replica is 0 s and 1024 MB behind"]
        assert told[1].filled == 0
