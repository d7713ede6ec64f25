"""Print what PostgreSQL is told from one revision to the next, by the `app` that PYTHONPATH leads to."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

import app.migrations

config = Config()
config.set_main_option("script_location", str(Path(app.migrations.__file__).parent).replace("%", "%%"))
command.upgrade(config, sys.argv[1], sql=True)
