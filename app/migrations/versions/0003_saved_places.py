"""Lists of saved places, and imports into them."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0003"
down_revision = "0002"
kind = "expand"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "place_lists",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("owner_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.String(2000), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_place_lists"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_place_lists_owner_id", ondelete="CASCADE"),
    )
    op.create_index("ix_place_lists_owner_id", "place_lists", ["owner_id", "id"])
    op.create_table(
        "saved_places",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("list_id", sa.Integer, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("note", sa.String(2000), nullable=False),
        sa.Column("latitude", sa.Double, nullable=False),
        sa.Column("longitude", sa.Double, nullable=False),
        sa.Column("place_id", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_saved_places"),
        sa.ForeignKeyConstraint(["list_id"], ["place_lists.id"], name="fk_saved_places_list_id", ondelete="CASCADE"),
    )
    op.create_index("ix_saved_places_order", "saved_places", ["list_id", "ordinal"])
    create_imports()


def create_imports() -> None:
    """Create the tables of imports."""
    op.create_table(
        "place_imports",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("list_id", sa.Integer, nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("total", sa.Integer),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.PrimaryKeyConstraint("id", name="pk_place_imports"),
        sa.ForeignKeyConstraint(["list_id"], ["place_lists.id"], name="fk_place_imports_list_id", ondelete="CASCADE"),
    )
    op.create_index("ix_place_imports_list_id", "place_imports", ["list_id", "id"])
    op.create_index("ix_place_imports_state", "place_imports", ["state", "changed_at"])
    op.create_table(
        "place_uploads",
        sa.Column("import_id", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary(104_857_600), nullable=False),
        sa.PrimaryKeyConstraint("import_id", name="pk_place_uploads"),
        sa.ForeignKeyConstraint(
            ["import_id"], ["place_imports.id"], name="fk_place_uploads_import_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "place_import_faults",
        sa.Column("import_id", sa.Integer, nullable=False),
        sa.Column("line", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "line", name="pk_place_import_faults"),
        sa.ForeignKeyConstraint(
            ["import_id"], ["place_imports.id"], name="fk_place_import_faults_import_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("place_import_faults", "place_uploads", "place_imports", "saved_places", "place_lists"):
        op.drop_table(table)
