"""How long a request waits while a large table is migrated and filled, with readers and writers on it all the time.

    make bench-migrations            # a million users; ROWS=100000 for fewer

A PostgreSQL of its own gets the schema from before users' names were in two columns, and rows. Then the migrations of
this release, the backfill, each operation that is safe, and the next release's contract run, one after the other; at
last what the linters refuse, to see why. Exits 1 when a request waited for a second, or failed, before that; or when
something that locks the table for long was not refused.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder: packaging.py there would be taken for the distribution

import psycopg  # noqa: E402  (this script runs from anywhere)

from tests.migrations import squawk, story  # noqa: E402
from tests.migrations.corpus import BLOCKING, SAFE, tree  # noqa: E402
from tests.migrations.trees import Tree  # noqa: E402
from tests.support import postgres  # noqa: E402

MOST = 1.0  # seconds that a request may wait
BEFORE = "0003"  # the schema before users' names were in two columns
LONG = 10.0  # seconds of a transaction that somebody forgot
READERS, WRITERS = 3, 2
FILL = (
    "INSERT INTO users (email, name, password_hash, active, created_at, last_login_at)"
    " SELECT 'u' || n || '@example.org', 'Given' || n || ' Family', repeat('x', 97), true, now(), now()"
    " FROM generate_series(1, {rows}) AS n"
)
KILLED = (
    "from app.database import migrate; from app.database.target import Target\n"
    "import sys\n"
    "def hold(connection, *_):\n"
    "    connection.exec_driver_sql('LOCK TABLE users')\n"
    "    connection.exec_driver_sql('SELECT pg_sleep(600)')\n"
    "migrate.migrate(Target(sys.argv[1]), 30, hold)\n"
)


@dataclass
class Traffic:
    """Readers and writers of single users; it keeps how long each request took, and when it began."""

    url: str
    rows: int
    leaving: threading.Event = field(default_factory=threading.Event)
    took: list[tuple[float, float]] = field(default_factory=list)  # list.append is atomic
    failed: list[str] = field(default_factory=list)

    def ask(self, sql: str) -> None:
        """Send one request after another."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.leaving.wait(0.002):
                began = time.monotonic()
                try:
                    connection.execute(sql.encode(), (random.randint(1, self.rows),))  # noqa: S311  no secret
                except psycopg.Error as error:
                    self.failed.append(str(error).partition("\n")[0])
                self.took.append((began, time.monotonic() - began))

    @contextmanager
    def going(self) -> Iterator[None]:
        """Let it go on meanwhile."""
        reads = "SELECT id, email, password_hash FROM users WHERE id = %s"
        writes = "UPDATE users SET last_login_at = now() WHERE id = %s"
        threads = [threading.Thread(target=self.ask, args=(sql,)) for sql in [reads] * READERS + [writes] * WRITERS]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.leaving.set()
            for thread in threads:
                thread.join()


@dataclass(frozen=True)
class Row:
    """What was done, how long that took, and the longest request meanwhile."""

    what: str
    seconds: float
    requests: int
    worst: float
    failed: int


def measured(traffic: Traffic, what: str, act: Callable[[], object]) -> Row:
    """Do something, and look at the requests that were answered meanwhile."""
    began, failed = time.monotonic(), len(traffic.failed)
    act()
    seconds = time.monotonic() - began
    time.sleep(0.3)  # requests that began meanwhile are answered
    mine = [took for at, took in list(traffic.took) if began <= at + took and at <= began + seconds]
    row = Row(what, seconds, len(mine), max(mine, default=0.0), len(traffic.failed) - failed)
    print(f"{row.what:<58} {row.seconds:8.1f} {row.requests:9,} {row.worst * 1000:9.0f} {row.failed:7}", flush=True)
    return row


def holding(url: str, act: Callable[[], object]) -> None:
    """Do something while a transaction that has read the table is open for ten seconds."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT count(*) FROM users WHERE id < 9")
        ending = threading.Timer(LONG, connection.rollback)
        ending.start()
        act()
        ending.join()


def kill(cluster: postgres.Cluster, url: str, app: str) -> None:
    """Kill a migrator that holds the table in the midst of a statement, and wait until a request gets through."""
    held = subprocess.Popen([sys.executable, "-c", KILLED, url], cwd=ROOT)
    with psycopg.connect(app, autocommit=True) as connection:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
        while cluster.sql(asleep) == "0":
            if held.poll() is not None:
                raise SystemExit("the migrator that was to be killed has ended by itself")
            time.sleep(0.02)
        held.send_signal(signal.SIGKILL)
        held.wait()
        began = time.monotonic()
        connection.execute("SELECT 1 FROM users WHERE id = 1")
        print(f"{'a killed migrator: its locks are gone after':<58} {time.monotonic() - began:8.1f} s", flush=True)


def run(rows: int, folder: Path, cluster: postgres.Cluster) -> list[Row]:
    """Go through the story."""
    cluster.make_roles("bench")
    app, owner = cluster.url("bench"), cluster.url("bench", postgres.OWNER)
    plain = app.replace("+psycopg", "")
    this = Tree(ROOT, "this release")
    after = story.next_release(folder / "next")
    this.app(owner, "db", "upgrade", BEFORE)
    cluster.sql(FILL.format(rows=rows), "bench", postgres.OWNER)
    cluster.sql("VACUUM ANALYZE", "bench")
    kill(cluster, owner, plain)
    heads = [entry.revision for entry in after.revisions()]
    expand, promise, contract = heads[-3:]
    traffic, found = Traffic(plain, rows), []

    def step(what: str, act: Callable[[], Any]) -> None:
        found.append(measured(traffic, what, act))

    with traffic.going():
        step("nothing", lambda: time.sleep(3))
        migrate = lambda: this.app(owner, "db", "upgrade")  # noqa: E731
        step("this release's migrations, behind 10 s of a transaction", lambda: holding(plain, migrate))
        step("backfill users.split-names", lambda: this.app(app, "backfill", "run", "users.split-names"))
        for name, body in SAFE.items():
            step(f"safe: {name}", lambda body=body: apply(folder, cluster, owner, body))
        step("the next release's expand", lambda: after.app(owner, "db", "upgrade", expand))
        step("contract: both parts are promised", lambda: after.app(owner, "db", "upgrade", promise))
        drop = lambda: after.app(owner, "db", "upgrade", contract)  # noqa: E731
        step("contract: the one column goes, behind 10 s of the same", lambda: holding(plain, drop))
        forget(cluster, heads[-4])
        passed = [name for name, body in BLOCKING.items() if not block(traffic, folder, cluster, owner, name, body)]
    if passed:
        raise SystemExit(f"not refused: {', '.join(passed)}")
    return found


def block(traffic: Traffic, folder: Path, cluster: postgres.Cluster, owner: str, name: str, body: str) -> str:
    """Do what the linters refuse, and see how long others wait; answer the rule."""
    rules = squawk.refused(tree(Path(tempfile.mkdtemp(dir=folder)) / "case", [("case", body)]))
    rule = rules[0].partition(":")[0] if rules else ""
    rule = ":".join(rules[0].split(":")[:2]) if rule == "squawk" else rule
    measured(traffic, f"refused ({rule}): {name}", lambda: apply(folder, cluster, owner, body))
    return rule


def apply(folder: Path, cluster: postgres.Cluster, owner: str, body: str) -> None:
    """Run one operation of the corpus as a migration, and let the database forget that it was there."""
    made = tree(Path(tempfile.mkdtemp(dir=folder)) / "case", [("case", body)])
    before = at(cluster)
    made.app(owner, "db", "upgrade")
    if at(cluster) == before:
        raise SystemExit(f"nothing was migrated: {body}")
    forget(cluster, before)


def at(cluster: postgres.Cluster) -> str:
    """Answer the revision of the database."""
    return cluster.sql("SELECT version_num FROM alembic_version", "bench")


def forget(cluster: postgres.Cluster, revision: str) -> None:
    """Let the database take itself for one at a revision."""
    back = f"UPDATE alembic_version SET version_num = '{revision}'"  # noqa: S608  what was read there
    cluster.sql(back, "bench", postgres.OWNER)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time what migrations of a large table hold up.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-migrations-") as name, postgres.folder() as place:
        postgres.make_data(place / "data")
        with postgres.running(place / "data") as cluster:
            print(f"{options.rows:,} users, {READERS} readers, {WRITERS} writers")
            print(f"{'':<58} {'seconds':>8} {'requests':>9} {'worst, ms':>9} {'failed':>7}")
            found = run(options.rows, Path(name), cluster)
    late = [row.what for row in found if row.worst >= MOST or row.failed]
    print(
        f"a request waited for {MOST:g} s, or failed: {'; '.join(late)}" if late else "no request waited for a second"
    )
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
