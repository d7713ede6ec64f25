"""The database: engine, shared table metadata, migrations and whether schema and code fit together."""

import logging

logger = logging.getLogger(__name__)
