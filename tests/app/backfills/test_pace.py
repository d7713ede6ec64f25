import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from app.backfills import pace
from app.backfills.pace import Signs
from tests.support import postgres as support
from tests.support.postgres import DATABASES, NAME, SUPERUSER, Cluster

MUCH = "INSERT INTO much SELECT repeat(md5(i::text), 60) FROM generate_series(1, 45000) AS i"
"""About 90 MB of write-ahead log."""


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_batch_grows_or_shrinks_to_the_time_that_it_shall_take() -> None:
    assert pace.next_size(1000, pace.BATCH_SECONDS) == 1000
    assert pace.next_size(1000, pace.BATCH_SECONDS / 1.5) == 1500
    assert pace.next_size(1000, 0) == 2000, "at most twice"
    assert pace.next_size(1000, 60) == 500, "at least half"
    assert pace.next_size(pace.LARGEST, 0) == pace.LARGEST
    assert pace.next_size(pace.SMALLEST, 60) == pace.SMALLEST
    assert pace.smaller(pace.SMALLEST) == pace.SMALLEST
    assert pace.smaller(1000) == 250


def test_the_database_belongs_to_others_as_long_as_to_a_batch() -> None:
    assert pace.pause(0.1) == 0.1
    assert pace.pause(10) == 2 * pace.BATCH_SECONDS


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        (Signs(waiting=2), "2 wait for a lock"),
        (Signs(lag_seconds=9.4), "a replica is 9 s and 0 MB behind"),
        (Signs(lag_bytes=100 * 2**20), "a replica is 0 s and 100 MB behind"),
    ],
)
def test_what_shows_that_it_is_busy(signs: Signs, text: str) -> None:
    assert signs.busy
    assert str(signs) == text


def test_a_little_lag_is_no_reason_to_wait() -> None:
    assert not Signs().busy
    assert not Signs(lag_bytes=2**20, lag_seconds=1).busy


def test_a_quiet_database_is_not_busy(engine: Engine) -> None:
    with engine.connect() as connection:
        assert pace.look(connection) == Signs()


@pytest.fixture(scope="module")
def replicated() -> Iterator[tuple[Cluster, Cluster]]:
    """A server and its replica, streaming by a slot."""
    support.needed()
    with pytest.MonkeyPatch.context() as patch, support.folder() as one, support.folder() as other:
        patch.setattr(support, "SETTINGS", {**support.SETTINGS, "wal_level": "replica", "max_wal_senders": "4"})
        support.make_data(one / "data")
        with (one / "data/pg_hba.conf").open("a") as access:
            access.write("local replication all trust\n")
        with support.running(one / "data") as primary:
            primary.sql(f"CREATE ROLE {NAME} LOGIN")
            primary.sql("CREATE TABLE much (it text)")
            copying = [support.needed() / "pg_basebackup", "--pgdata", other / "data", "--checkpoint=fast", "--no-sync"]
            copying += ["--create-slot", "--slot=replica", "--write-recovery-conf", f"--host={one}"]
            copying += [f"--port={primary.port}", f"--username={SUPERUSER}"]
            if os.geteuid() == 0:
                shutil.chown(other, "postgres", "postgres")
            subprocess.run(copying, check=True, cwd="/", **support.account())  # type: ignore[call-overload]
            with support.running(other / "data") as replica:
                yield primary, replica


def look(primary: Cluster, role: str) -> Signs:
    engine = create_engine(primary.url("postgres", role))
    with engine.connect() as connection:
        signs = pace.look(connection)
    engine.dispose()
    return signs


def caught_up(primary: Cluster, role: str) -> None:
    deadline = time.monotonic() + 60
    while (signs := look(primary, role)).busy:
        assert time.monotonic() < deadline, signs
        time.sleep(0.1)


def test_a_replica_that_does_not_replay_is_waited_for(replicated: tuple[Cluster, Cluster]) -> None:
    primary, replica = replicated
    assert not look(primary, SUPERUSER).busy
    replica.sql("SELECT pg_wal_replay_pause()")
    primary.sql(MUCH)
    behind = look(primary, SUPERUSER)
    assert behind.busy
    assert behind.lag_bytes > pace.MOST_LAG_BYTES
    assert str(behind).startswith("a replica is ")
    replica.sql("SELECT pg_wal_replay_resume()")
    caught_up(primary, SUPERUSER)


def test_a_replica_that_receives_nothing_is_waited_for_by_the_app_s_role_too(
    replicated: tuple[Cluster, Cluster],
) -> None:
    primary, replica = replicated
    caught_up(primary, NAME)
    receiver = int(replica.sql("SELECT pid FROM pg_stat_wal_receiver"))
    os.kill(receiver, signal.SIGSTOP)
    try:
        primary.sql(MUCH)
        assert look(primary, NAME).lag_bytes > pace.MOST_LAG_BYTES
    finally:
        os.kill(receiver, signal.SIGCONT)
    caught_up(primary, NAME)
