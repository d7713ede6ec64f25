"""MariaDB: sessions that mean what those of PostgreSQL mean."""

import logging
from typing import Any

from sqlalchemy import URL, DateTime, Engine, Float, LargeBinary, Text, create_engine, make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from app.database.target import Target

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60
"""How long a transaction may wait for its process, as on PostgreSQL."""

RECYCLE_SECONDS = 1800
"""Age from which a connection is replaced: well below the server's ``wait_timeout``."""

PATIENCE_SECONDS = 10
"""How much longer than its longest statement a connection is waited for before the server counts as gone."""

COLLATION = "utf8mb4_nopad_bin"
"""By code point, as on SQLite and PostgreSQL. By default ``É`` equals ``e``, and a space at the end counts nothing."""


def make_mariadb_engine(target: Target, session: dict[str, str] | None = None) -> Engine:
    """Return an engine; nothing is connected yet. ``session`` are variables of MariaDB for its connections."""
    url = make_url(target.url)
    return create_engine(
        bare(url),
        connect_args=connect_arguments(target, url, session or {}),
        pool_size=target.pool_size,
        max_overflow=0,
        pool_timeout=target.pool_timeout,
        pool_recycle=RECYCLE_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # parameters are personal data, and errors are logged
    )


def bare(url: URL) -> URL:
    """Leave user, host and database: the rest goes to the driver under names of its own."""
    return url._replace(password=None).difference_update_query(list(url.query))


def connect_arguments(target: Target, url: URL, session: dict[str, str]) -> dict[str, Any]:
    """Return what the driver is told."""
    password = target.password if target.password is not None else url.password
    arguments: dict[str, Any] = {
        "password": (password or "").encode(),  # the driver would take it for Latin-1
        "charset": "utf8mb4",
        "program_name": target.application_name,
        "connect_timeout": target.connect_timeout,
        "init_command": settings_of({**session_variables(target), **session}),
    }
    if target.statement_timeout:
        arguments |= dict.fromkeys(("read_timeout", "write_timeout"), target.statement_timeout + PATIENCE_SECONDS)
    if socket := url.query.get("unix_socket"):
        arguments |= {"unix_socket": socket, "ssl_disabled": True}
    if authority := url.query.get("ssl_ca"):
        arguments |= {"ssl_ca": authority, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return arguments


def session_variables(target: Target) -> dict[str, str]:
    """Return what makes a session one like PostgreSQL's, whatever the server's own defaults are.

    A value that does not fit is an error and not another value, and each statement sees what is committed by then: the
    default would show one state of the data to all of a transaction, and yet change a newer one.
    """
    return {
        "sql_mode": "'TRADITIONAL'",
        "tx_isolation": "'READ-COMMITTED'",
        "time_zone": "'+00:00'",
        "max_statement_time": f"{target.statement_timeout:g}",
        "idle_transaction_timeout": str(IDLE_SECONDS),
    }


def settings_of(variables: dict[str, str]) -> str:
    """Return the one statement that sets them."""
    return "SET SESSION " + ", ".join(f"{name} = {value}" for name, value in variables.items())


@compiles(DateTime, "mariadb")
def moment(type_: TypeEngine[Any], compiler: Any, **_: Any) -> str:
    """Keep microseconds, which DATETIME alone drops."""
    return "DATETIME(6)"


@compiles(Float, "mariadb")
def double(type_: Float[Any], compiler: Any, **_: Any) -> str:
    """Keep what Python keeps: FLOAT alone would move a place by some metres."""
    return "DOUBLE"


@compiles(Text, "mariadb")
def any_length(type_: Text, compiler: Any, **_: Any) -> str:
    """Take texts of any length; TEXT alone ends at 64 KiB."""
    return "LONGTEXT"


@compiles(LargeBinary, "mariadb")
def any_bytes(type_: LargeBinary, compiler: Any, **_: Any) -> str:
    """Take any number of bytes."""
    return "LONGBLOB"
