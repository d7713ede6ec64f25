"""The rows after a position: how lists are read page by page, whatever was added or removed meanwhile."""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

logger = logging.getLogger(__name__)


def beyond(
    position: Sequence[Any], *columns: ColumnElement[Any], descending: Sequence[bool] = ()
) -> ColumnElement[bool]:
    """Return the condition for rows after ``position`` in the order of ``columns``, none of which may be NULL.

    ``descending`` says for each column whether it is sorted downwards; without it all go upwards. Written out as
    comparisons of single columns, which MariaDB can look up in an index, and which may point in different directions.
    """
    if len(position) != len(columns):
        raise ValueError(f"expected {len(columns)} values, got {len(position)}")
    down = descending or [False] * len(columns)
    steps = []
    for number, (column, value) in enumerate(zip(columns, position, strict=True)):
        same = [before == given for before, given in zip(columns[:number], position[:number], strict=True)]
        steps.append(and_(*same, column < value if down[number] else column > value))
    return or_(*steps)
