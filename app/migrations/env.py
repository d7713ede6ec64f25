"""How Alembic runs our migrations: on the caller's connection.

In the caller's transaction if there is one (SQLite: all migrations succeed together or not at all), otherwise each in
its own (PostgreSQL), or each statement by itself (MariaDB: app/database/resumable.py). Offline, what PostgreSQL would
be told is printed.
"""

import logging
from contextlib import nullcontext

from alembic import context

from app.database.tables import metadata

logger = logging.getLogger(__name__)

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, transaction_per_migration=True)
else:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=connection.dialect.name != "mariadb",  # true of SQLite, too, since BEGIN is ours
        transaction_per_migration=True,  # where the caller has opened none
        render_as_batch=True,
    )
    running = context.get_context()
    if running.dialect.name != "postgresql":
        # Nothing is built concurrently there, so a block that needs to be outside of a transaction is a plain one.
        vars(running)["autocommit_block"] = nullcontext
with context.begin_transaction():
    context.run_migrations()
