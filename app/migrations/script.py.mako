"""${message}."""

import logging

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
logger = logging.getLogger(__name__)

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
# "expand": the previous release keeps working on the new schema. "contract": it does not.
kind = "expand"


def upgrade() -> None:
    """Apply the change."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo the change."""
    ${downgrades if downgrades else "pass"}
