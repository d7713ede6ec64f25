"""Indexes for the places in an area, and in a country: a revision of their own, for they are in no transaction."""

import logging

from alembic import op

logger = logging.getLogger(__name__)

revision = "0006"
down_revision = "0005"
kind = "expand"

AREA = ["tier", "meridian", "latitude", "longitude", "population"]
COUNTRY = ["country_code", "population"]


def upgrade() -> None:
    """Build them beside those who write."""
    with op.get_context().autocommit_block():
        op.create_index("ix_places_area", "places", AREA, if_not_exists=True, postgresql_concurrently=True)
        op.create_index("ix_places_country", "places", COUNTRY, if_not_exists=True, postgresql_concurrently=True)


def downgrade() -> None:
    """Drop them."""
    if op.get_context().dialect.name == "mariadb":
        # ix_places_country has taken the place of the index that MariaDB made for the foreign key, and needs.
        op.create_index("fk_places_country_code", "places", ["country_code"])
    op.drop_index("ix_places_country", "places")
    op.drop_index("ix_places_area", "places")
