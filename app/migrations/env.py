"""How Alembic runs our migrations: on the connection, and in the transaction, that the caller has opened."""

import logging

from alembic import context

from app.database.tables import metadata

logger = logging.getLogger(__name__)

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,  # true of SQLite since BEGIN is ours; all migrations succeed together or not at all
    render_as_batch=True,
)
context.run_migrations()
