"""Backfills of users: the name in two columns."""

import logging

from sqlalchemy import Connection, bindparam, case, func, select, update

from app.backfills.backfill import Backfill
from app.users.tables import users
from app.users.utils import split_name

logger = logging.getLogger(__name__)


def split_names(connection: Connection, after: int, last: int) -> int:
    """Fill given and family name from the name, for users after one key up to another."""
    if connection.dialect.name == "postgresql":
        return split_names_there(connection, after, last)
    lacking = select(users.c.id, users.c.name).where(users.c.id > after, users.c.id <= last, LACKING)
    rows = connection.execute(lacking.order_by(users.c.id)).all()
    if not rows:
        return 0
    fill = (
        update(users)
        # Who has another name by now has its parts as well: whoever gave it wrote both.
        .where(users.c.id == bindparam("of"), users.c.name == bindparam("old"), LACKING)
        .values(given_name=bindparam("given"), family_name=bindparam("family"))
    )
    values = []
    for row in rows:
        given, family = split_name(row.name)
        values.append({"of": row.id, "old": row.name, "given": given, "family": family})
    connection.execute(fill, values)
    return len(values)


def split_names_there(connection: Connection, after: int, last: int) -> int:
    """Do the same by one statement, as `split_name` does it: twenty times as many rows in the same time."""
    behind = func.strpos(
        func.reverse(users.c.name), " "
    )  # where the last space is, from behind; 1: it is the last sign
    values = {
        "given_name": case((behind > 1, func.left(users.c.name, -behind)), else_=users.c.name),
        "family_name": case((behind > 1, func.right(users.c.name, behind - 1)), else_=""),
    }
    filled = update(users).where(users.c.id > after, users.c.id <= last, LACKING).values(values)
    return connection.execute(filled).rowcount


LACKING = users.c.given_name.is_(None)

BACKFILLS = (
    Backfill(
        name="users.split-names",
        summary="Given and family name of users whose name is in one column only",
        key=users.c.id,
        lacking=LACKING,
        fill=split_names,
    ),
)
