"""Users, API tokens and places."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0001"
down_revision = None
kind = "expand"

by_code_point = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("digest", name="uq_api_tokens_digest"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    create_places()


def create_places() -> None:
    """Create the tables of places."""
    op.create_table(
        "countries",
        sa.Column("code", sa.String(2), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_countries"),
    )
    op.create_table(
        "places",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("country_code", sa.String(2), nullable=False),
        sa.Column("admin1_code", sa.String(20), nullable=False),
        sa.Column("latitude", sa.Float, nullable=False),
        sa.Column("longitude", sa.Float, nullable=False),
        sa.Column("meridian", sa.Integer, nullable=False),
        sa.Column("x", sa.Float, nullable=False),
        sa.Column("y", sa.Float, nullable=False),
        sa.Column("z", sa.Float, nullable=False),
        sa.Column("population", sa.Integer, nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("part_of", sa.Integer),
        sa.Column("checksum", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_places"),
        sa.ForeignKeyConstraint(["country_code"], ["countries.code"], name="fk_places_country_code"),
    )
    op.create_index(
        "ix_places_position",
        "places",
        ["meridian", "latitude", "x", "y", "z", "part_of"],
    )
    op.create_table(
        "place_names",
        sa.Column("place_id", sa.Integer, nullable=False),
        sa.Column("name", by_code_point, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False),
        sa.Column("population", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("place_id", "name", name="pk_place_names"),
        sa.ForeignKeyConstraint(["place_id"], ["places.id"], name="fk_place_names_place_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_place_names_search", "place_names", ["tier", "name", "population", "place_id"])
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("loaded_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_datasets"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("datasets", "place_names", "places", "countries", "api_tokens", "users"):
        op.drop_table(table)
