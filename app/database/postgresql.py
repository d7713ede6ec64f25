"""PostgreSQL: the database of production."""

import logging
from typing import Any

from sqlalchemy import Engine, create_engine, make_url

from app.database.target import Target

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60
"""How long a transaction may wait for its process: above the longest request, or its locks would stay for ever."""

RECYCLE_SECONDS = 1800
"""Age from which a connection is replaced, before something between us and the server forgets it."""

ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""Half a minute until a server that has lost its power counts as gone. The kernel alone takes a quarter of an hour."""


def make_postgresql_engine(target: Target, session: dict[str, str] | None = None) -> Engine:
    """Return an engine; nothing is connected yet. ``session`` are settings of PostgreSQL for its connections.

    A connection that the server closed meanwhile is noticed before a request gets it, so a restart of PostgreSQL costs
    no request after it is back.
    """
    url = make_url(target.url)
    if target.password is not None:
        url = url.set(password=target.password)
    return create_engine(
        url,
        connect_args=connect_arguments(target, session or {}),
        pool_size=target.pool_size,
        max_overflow=0,
        pool_timeout=target.pool_timeout,
        pool_recycle=RECYCLE_SECONDS,
        pool_pre_ping=True,
        use_native_hstore=False,  # would cost the first connection a question
        hide_parameters=True,  # parameters are personal data, and errors are logged
    )


def connect_arguments(target: Target, session: dict[str, str]) -> dict[str, Any]:
    """Return what the driver is told. Settings travel with the first message, so they cost no round trip."""
    settings = {
        "statement_timeout": f"{target.statement_timeout:g}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        **session,
    }
    return {
        "application_name": target.application_name,
        "connect_timeout": target.connect_timeout,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        **ALIVE,
    }
