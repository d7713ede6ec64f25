"""The tables of saved places and of imports."""

import logging

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, LargeBinary, String, Table

from app.database.metadata import metadata
from app.database.types import UtcDateTime

logger = logging.getLogger(__name__)

LONGEST_NOTE = 2000
LARGEST_UPLOAD = 104_857_600  # the most that MAX_BODY_BYTES may be; MariaDB needs to know, or takes 64 KiB

place_lists = Table(
    "place_lists",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", String(LONGEST_NOTE), nullable=False),
    Column("size", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)
Index("ix_place_lists_owner_id", place_lists.c.owner_id, place_lists.c.id)  # a user's lists, page by page

saved_places = Table(
    "saved_places",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("list_id", ForeignKey("place_lists.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("note", String(LONGEST_NOTE), nullable=False),
    Column("latitude", Double, nullable=False),
    Column("longitude", Double, nullable=False),
    # Of places. No foreign key: new reference data may leave a place out, and what people saved stays.
    Column("place_id", Integer),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)
# A list's places, page by page in their order. Not unique: a shift would break it half-way on SQLite and MariaDB.
Index("ix_saved_places_order", saved_places.c.list_id, saved_places.c.ordinal)

place_imports = Table(
    "place_imports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("list_id", ForeignKey("place_lists.id", ondelete="CASCADE"), nullable=False),
    Column("format", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("total", Integer),
    Column("done", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
)
Index("ix_place_imports_list_id", place_imports.c.list_id, place_imports.c.id)
Index("ix_place_imports_state", place_imports.c.state, place_imports.c.changed_at)  # those that nobody works on

# The file itself, until it is read: apart, so that a look at the progress never carries it along.
place_uploads = Table(
    "place_uploads",
    metadata,
    Column("import_id", ForeignKey("place_imports.id", ondelete="CASCADE"), primary_key=True),
    Column("body", LargeBinary(LARGEST_UPLOAD), nullable=False),
)

place_import_faults = Table(
    "place_import_faults",
    metadata,
    Column("import_id", ForeignKey("place_imports.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("reason", String(500), nullable=False),
)
