"""Add a row, or change the one that has its key: in one statement, so that of many at once none fails or is lost.

Trying one after the other does not do on MariaDB: who tried to add holds what is there from being changed, and two who
do that wait for each other.
"""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Executable, Table

logger = logging.getLogger(__name__)


def add_or_change(dialect: str, table: Table, row: Mapping[str, Any], changes: Mapping[str, Any]) -> Executable:
    """Return the statement. ``changes`` may use the columns of the row that is there; its primary key decides which.

    MariaDB makes the changes one after another, and each sees those before it.
    """
    if dialect == "mariadb":
        from sqlalchemy.dialects.mysql import insert as mariadb_insert

        return mariadb_insert(table).values(row).on_duplicate_key_update(list(changes.items()))
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        key = [column.name for column in table.primary_key]
        return postgresql_insert(table).values(row).on_conflict_do_update(index_elements=key, set_=changes)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table).values(row).on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)
