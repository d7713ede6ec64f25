"""Which database a process uses, and how."""

import logging
from dataclasses import dataclass, field
from typing import Self

from app.about import NAME, installed_version
from app.settings import Settings
from app.settings.reading import without_password

logger = logging.getLogger(__name__)

PREFIXES = {"sqlite": "sqlite:///", "postgresql": "postgresql+psycopg://", "mariadb": "mariadb+pymysql://"}
LONGEST_NAME = 63
"""PostgreSQL cuts an application's name there, and says so in its log each time."""


@dataclass(frozen=True, slots=True)
class Target:
    """The database's URL and password, and what a process asks of its connections; times are seconds."""

    url: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    application_name: str = NAME
    pool_size: int = 8
    pool_timeout: float = 5
    connect_timeout: int = 5
    statement_timeout: float = 30

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the database that the settings name."""
        version = settings.release_version or installed_version()
        return cls(
            url=settings.database_url,
            password=settings.database_password.get_secret_value() if settings.database_password else None,
            application_name=f"{NAME} {version}".encode("ascii", "replace")[:LONGEST_NAME].decode(),
            pool_size=settings.database_pool_size,
            pool_timeout=settings.database_pool_timeout,
            connect_timeout=settings.database_connect_timeout,
            statement_timeout=settings.database_statement_timeout,
        )

    @property
    def kind(self) -> str:
        """The database's kind, as SQLAlchemy calls its dialect: ``sqlite``, ``postgresql`` or ``mariadb``."""
        return self.url.partition(":")[0].partition("+")[0]

    @property
    def path(self) -> str:
        """The file of an SQLite database."""
        return self.url.removeprefix(PREFIXES["sqlite"])

    def __str__(self) -> str:
        """Return the URL as it may be shown."""
        return without_password(self.url)
