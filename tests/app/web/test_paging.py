import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import Settings
from app.web.paging import Cursors, Page, PageInput
from app.web.problems import BadRequest
from app.web.routes import Output

KEYS = ("kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E", "Zb2nQ8vTk5WxL1rDfH9sJc4MgP7yUa3E")
CURSORS, OTHERS = (
    Cursors(Settings.from_environ({"SECRET_KEY": key, "DATABASE_URL": "sqlite:///x.sqlite3"})) for key in KEYS
)


class Filtered(PageInput):
    q: str = ""


class Number(Output):
    number: int


class NumberPage(Page[Number]):
    """A page of numbers."""


def listing(numbers: list[int], given: PageInput, name: str = "numbers") -> NumberPage:
    """A use case and its endpoint: numbers in order, page by page."""
    pager = CURSORS.pager(name, given)
    found = [number for number in sorted(numbers) if pager.after is None or (number,) > pager.after][: pager.fetch]
    return pager.page(NumberPage, found, key=lambda number: (number,), show=lambda number: Number(number=number))


def cursor_of(given: PageInput, name: str = "numbers") -> str:
    found = listing(list(range(50)), given, name).next
    assert found
    return found


@given(st.sets(st.integers()), st.integers(1, 100))
def test_pages_give_each_row_once_in_order(numbers: set[int], limit: int) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        page = listing(list(numbers), PageInput(cursor=cursor, limit=limit))
        assert len(page.items) <= limit
        seen += [item.number for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == sorted(numbers)


def test_what_comes_and_goes_meanwhile_moves_no_other_row() -> None:
    first = listing([1, 2, 3, 4, 5], PageInput(limit=2))
    second = listing([0, 2, 3, 4, 5], PageInput(limit=2, cursor=first.next))
    assert [item.number for item in second.items] == [3, 4]


def test_a_full_last_page_has_no_next() -> None:
    assert listing([1, 2], PageInput(limit=2)).next is None
    assert listing([], PageInput()).next is None


@given(st.tuples(st.text(max_size=50), st.integers(), st.booleans(), st.none() | st.datetimes(timezones=st.just(UTC))))
def test_a_position_comes_back_as_it_was(position) -> None:
    assert CURSORS.read(CURSORS.write(position, b"x"), b"x") == position
    assert CURSORS.write((datetime(2026, 1, 1, tzinfo=UTC), "é"), b"x").isascii()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!",
        "é",
        "A" * 40,
        cursor_of(PageInput(), "others"),
        cursor_of(Filtered(q="a")),
        OTHERS.write((1,), b""),
    ],
)
def test_a_cursor_of_somewhere_else_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest) as caught:
        CURSORS.pager("numbers", Filtered(q="b", cursor=cursor))
    assert caught.value.status == 422
    assert caught.value.faults[0]["parameter"] == "cursor"


def test_a_position_of_ones_own_is_refused() -> None:
    cursor = cursor_of(PageInput())
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = base64.urlsafe_b64encode(raw.replace(b"[19]", b"[10]")).decode().rstrip("=")
    assert forged != cursor
    with pytest.raises(BadRequest):
        CURSORS.pager("numbers", PageInput(cursor=forged))


def test_the_limit_may_change_from_page_to_page() -> None:
    assert len(listing(list(range(50)), PageInput(cursor=cursor_of(PageInput(limit=5)), limit=7)).items) == 7
