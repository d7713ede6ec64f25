"""PostgreSQL: pg_dump and pg_restore of the server itself, as its own superuser, who needs no password there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.agent.backups.engine import Rows
from deploy.agent.errors import AgentError

AS_POSTGRES = ("runuser", "-u", "postgres", "--")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PGAPPNAME": "releasectl"}
PATIENCE = 10.0  # seconds that connections get to end before a database is renamed

COUNTS = r"""
SELECT format('SELECT %L, count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND nspname <> 'information_schema' AND nspname !~ '^pg_'
ORDER BY nspname, relname
\gexec
WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')
SELECT '(index)', count(*) FROM pg_class WHERE relkind = 'i' AND relnamespace IN (TABLE ours)
UNION ALL SELECT '(constraint)', count(*) FROM pg_constraint WHERE connamespace IN (TABLE ours)
UNION ALL SELECT '(sequence)', count(*) FROM pg_class WHERE relkind = 'S' AND relnamespace IN (TABLE ours)
UNION ALL SELECT '(view)', count(*) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace IN (TABLE ours)
UNION ALL SELECT '(function)', count(*) FROM pg_proc WHERE pronamespace IN (TABLE ours)
UNION ALL SELECT '(trigger)', count(*) FROM pg_trigger WHERE NOT tgisinternal;
"""

# A database is more than what pg_dump writes down of one: whose it is, who may come in, and its settings.
SAME_AS = r"""
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', :'new',
    pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype)
FROM pg_database WHERE datname = :'live'
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'new')
FROM pg_database WHERE datname = :'live' AND datacl IS NOT NULL
UNION ALL
SELECT format('GRANT %s ON DATABASE %I TO %s', privilege_type, :'new',
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_database CROSS JOIN aclexplode(datacl) WHERE datname = :'live' AND grantee <> datdba
\gexec
SELECT format('ALTER %s SET %I TO %s',
    CASE setrole WHEN 0 THEN format('DATABASE %I', :'new')
        ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), :'new') END,
    split_part(setting, '=', 1),
    CASE WHEN split_part(setting, '=', 1) = 'search_path' THEN substr(setting, strpos(setting, '=') + 1)
        ELSE quote_literal(substr(setting, strpos(setting, '=') + 1)) END)
FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase CROSS JOIN unnest(setconfig) AS setting
WHERE datname = :'live'
\gexec
"""

CLOSE = r"""
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', :'live')
\gexec
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'live'
"""
OPEN = r"""
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database WHERE datname = :'live'
\gexec
"""
RENAME = r"""
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'live', :'aside')
UNION ALL SELECT format('ALTER DATABASE %I RENAME TO %I', :'new', :'live')
\gexec
COMMIT;
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', :'aside')
\gexec
"""


class Postgresql:
    """A database of the server on this host. `become` and `environment` say how its superuser is reached."""

    kind = "postgresql"

    def __init__(
        self, database: str, become: Sequence[str] = AS_POSTGRES, environment: Mapping[str, str] = ENVIRONMENT
    ) -> None:
        self.database = database
        self._become = tuple(become)
        self._environment = dict(environment)

    def dump(self, into: Path) -> Rows:
        """Dump one moment of it; what is counted is the same moment: both see one exported snapshot."""
        with self._moment() as (snapshot, asked):
            words = [
                "pg_dump",
                "--format=custom",
                "--no-password",
                f"--snapshot={snapshot}",
                f"--dbname={self.database}",
            ]
            with os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                self._run(words, stdout=file)
            return _rows(asked(COUNTS))

    def owner(self) -> str:
        """Name the role that owns it; empty when there is no such database."""
        found = self._ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = :'live'", live=self.database)
        return found[0][0] if found else ""

    def room(self) -> tuple[int, int]:
        """Say how many bytes it has, and how many are free where the server keeps its databases."""
        ((size, data),) = self._ask(
            "SELECT pg_database_size(:'live'), current_setting('data_directory')", live=self.database
        )
        found = os.statvfs(data)
        return int(size), found.f_bavail * found.f_frsize

    def load(self, backup: Path, identifier: str) -> str:
        """Restore into a database of its own, with the owner, the rights and the settings of the one in use."""
        name = self._named("new", identifier)
        self.drop(name)
        self._ask(SAME_AS, live=self.database, new=name)
        with backup.open("rb") as file:
            words = ["pg_restore", "--no-password", "--exit-on-error", f"--dbname={name}"]
            self._run(words, stdin=file)
        return name

    def count(self, name: str) -> Rows:
        """Count what a database has."""
        return _rows(self._ask(COUNTS, database=name))

    def drop(self, name: str) -> None:
        """Remove a database of ours."""
        self._ask("SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'name')\n\\gexec", name=name)

    def switch(self, name: str, identifier: str) -> str:
        """Rename both databases in one transaction, with nobody connected; the one from before stays beside it.

        Processes keep their address: the next connection that they open leads to the new one.
        """
        self._ask("ANALYZE", database=name)  # or its first plans would be those for empty tables
        aside, live = self._named("before", identifier), self.database
        for left in self._asides():
            if left != aside:
                self.drop(left)
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                self._ask(CLOSE, live=live)
                here = "SELECT count(*) FROM pg_stat_activity WHERE datname = :'live'"
                if self._ask(here, live=live) == [["0"]]:
                    break
                if time.monotonic() > deadline:
                    raise AgentError("busy", f"{live}: connections to it don't end", expected="nobody connected")
                time.sleep(0.1)
            self._ask(RENAME, live=live, new=name, aside=aside)
        finally:
            self._ask(OPEN, live=live)
        return aside

    def _asides(self) -> list[str]:
        """Name what earlier restores have put aside."""
        return [
            name
            for (name,) in self._ask(
                "SELECT datname FROM pg_database WHERE starts_with(datname, :'beginning')",
                beginning=f"{self.database[:30]}_before_",
            )
        ]

    def _named(self, what: str, identifier: str) -> str:
        return f"{self.database[:30]}_{what}_{identifier.lower().replace('-', '_')}"  # names have at most 63 characters

    @contextlib.contextmanager
    def _moment(self) -> Iterator[tuple[str, Any]]:
        """Hold a transaction that sees one moment; give its name, and how to ask in it."""
        words = [*self._become, *_psql(), f"--dbname={self.database}"]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True,
            env=self._environment,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin as to, process.stdout as answers:

            def ask(sql: str) -> list[list[str]]:
                to.write(sql)
                to.close()
                found = [line.rstrip("\n").split("\t") for line in answers]
                if process.wait() != 0:
                    raise _failed("psql", process.stderr.read() if process.stderr else "")
                return found

            to.write("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSELECT pg_export_snapshot();\n")
            to.flush()
            snapshot = answers.readline().strip()
            if not snapshot:
                raise _failed("psql", process.stderr.read() if process.stderr else "")
            try:
                yield snapshot, ask
            finally:
                process.terminate()

    def _ask(self, sql: str, database: str = "postgres", **names: str) -> list[list[str]]:
        words = [*_psql(), *(f"--set={name}={value}" for name, value in names.items()), f"--dbname={database}"]
        said = self._run(words, sql=sql)
        return [line.split("\t") for line in said.splitlines() if line]

    def _run(self, words: Sequence[str], sql: str | None = None, **pipes: Any) -> str:
        """Run one of PostgreSQL's programs.

        Raises: AgentError database-failed, no-program.
        """
        given: dict[str, Any] = {"input": sql.encode()} if sql is not None else {}
        if not given and "stdin" not in pipes:
            given["stdin"] = subprocess.DEVNULL  # ours has the operator's requests
        done = subprocess.run(
            [*self._become, *words], cwd="/", env=self._environment, check=False, stderr=subprocess.PIPE,
            **{"stdout": subprocess.PIPE, **given, **pipes},
        )  # fmt: skip
        if done.returncode != 0:
            raise _failed(words[0], done.stderr.decode("utf-8", "replace"))
        return (done.stdout or b"").decode("utf-8", "replace")


def _psql() -> list[str]:
    return ["psql", "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t",
            "--set=ON_ERROR_STOP=1"]  # fmt: skip


def _rows(lines: list[list[str]]) -> Rows:
    return {name: int(number) for name, number in lines}


def _failed(program: str, said: str) -> AgentError:
    lines = said.strip().splitlines()
    return AgentError(
        "database-failed", f"{program}: {lines[0] if lines else 'it failed without a word'}", detail="\n".join(lines),
        hint="see that PostgreSQL runs on this host" if program == "psql" else None,
    )  # fmt: skip
