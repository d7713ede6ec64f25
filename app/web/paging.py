"""Long lists, page by page: each page names the next one by an opaque, signed cursor.

A cursor holds the position of a page's last row, so a page begins right after it whatever was added or removed since,
and costs the same wherever it is. It is signed, so nobody can ask for a position that was not given to them, and it
belongs to one list with one filter: with other filters it is refused. It is readable to whoever has it: sort by
nothing that the reader of the list may not see.

    given = call.input                                      # a PageInput
    pager = call.get(Cursors).pager("users.list", given)
    found = call.get(Users).search(given.q, after=pager.after, limit=pager.fetch)
    return pager.page(UserPage, found, key=lambda user: (user.name, user.id), show=UserOutput.of)
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, NoReturn, TypeVar

from pydantic import Field

from app.settings import Settings
from app.web.problems import BadRequest
from app.web.routes import Input, Output

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT")
ItemT = TypeVar("ItemT", bound=Output)

LARGEST = 100
LONGEST_CURSOR = 1000
SIGNATURE = 16
"""Bytes; more than anybody can guess over a network."""

Scalar = str | int | float | bool | datetime | None
Position = tuple[Any, ...]
"""Where a row stands in its list: the values that it is sorted by, the last of them different for each row."""


class PageInput(Input):
    """Base of request models of lists that come in pages."""

    cursor: Annotated[str | None, Field(max_length=LONGEST_CURSOR, description="`next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST, description="Items on a page, at most")] = 20


class Page(Output, Generic[ItemT]):
    """Base of response models of such lists. ``next`` is the cursor of the next page, None on the last."""

    items: list[ItemT]
    next: str | None


PageT = TypeVar("PageT", bound=Page[Any])


class Cursors:
    """Writes and reads cursors, with the key of this site."""

    def __init__(self, settings: Settings) -> None:
        self.key = hmac.digest(settings.secret_key.get_secret_value().encode(), b"cursor", "sha256")

    def pager(self, name: str, given: PageInput) -> "Pager":
        """Begin a page of the list called ``name``. Raises BadRequest for a cursor that is not of this list.

        Give the list another name when what it is sorted by changes: then old cursors are refused, not misread.
        """
        filters = given.model_dump(mode="json", exclude={"cursor", "limit"})
        belongs = json.dumps([name, filters], sort_keys=True).encode()
        after = None if given.cursor is None else self.read(given.cursor, belongs)
        return Pager(after, given.limit, lambda position: self.write(position, belongs))

    def write(self, position: Position, belongs: bytes) -> str:
        """Return the cursor for the page after ``position``."""
        content = json.dumps([packed(value) for value in position], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(content, belongs) + content).decode().rstrip("=")

    def read(self, cursor: str, belongs: bytes) -> Position:
        """Return the position in a cursor. Raises BadRequest if it was not written here, or for another list."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError:
            refuse()
        signature, content = raw[:SIGNATURE], raw[SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(content, belongs)):
            refuse()
        return tuple(unpacked(value) for value in json.loads(content))

    def _sign(self, content: bytes, belongs: bytes) -> bytes:
        told_apart = hashlib.sha256(belongs).digest() + content
        return hmac.digest(self.key, told_apart, "sha256")[:SIGNATURE]


class Pager:
    """One page of a list: ask for ``fetch`` rows after ``after`` (None: from the start), then make the page."""

    def __init__(self, after: Position | None, limit: int, write: Callable[[Position], str]) -> None:
        self.after = after
        self.limit = limit
        self.fetch = limit + 1  # one more than is shown says whether there is another page
        self.write = write

    def page(
        self,
        kind: type[PageT],
        rows: Sequence[RowT],
        *,
        key: Callable[[RowT], Position],
        show: Callable[[RowT], Output],
    ) -> PageT:
        """Make the page of the rows that were found; ``key`` returns the values that they are sorted by."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return kind(items=[show(row) for row in shown], next=self.write(key(shown[-1])) if more else None)


def packed(value: Scalar) -> Any:
    """Write a value as JSON can say it; a moment is marked as one."""
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def unpacked(value: Any) -> Scalar:
    """Read it again."""
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value


def refuse() -> NoReturn:
    """Raise what a cursor gets that is not one of ours."""
    detail = "not a cursor of this list with these filters; leave it out to begin at the first page"
    raise BadRequest(
        422, "Some of what you sent can't be used; errors has each one.", [{"parameter": "cursor", "detail": detail}]
    )
