"""The table at the end of `make test-faults`."""

from __future__ import annotations

from tests.faults.table import done_of, rows, told
from tests.support.repository import ROOT

PAGE = """\
# Faults

## The deployer

| fault | what to type |
|---|---|
| killed | the same (`tests/a.py::test_killed`, `tests/b.py::test_late`) |
| held `up` | nothing (`tests/a.py::test_held_up`) |
"""


def test_each_row_says_how_its_tests_ended() -> None:
    ended = [
        done_of("tests/a.py::test_killed", ["passed", "passed"], [("cases", 40), ("cases", 2)]),
        done_of("tests/b.py::test_late[web1]", ["passed", "failed"], []),
        done_of("tests/faults/test_c.py::test_more", ["passed"], []),
    ]
    assert told(PAGE, {str(number): each for number, each in enumerate(ended)}) == [
        "passed failed   cases  fault",
        "The deployer:",
        "     1      1      43  killed",
        "     1              1  what the table does not name",
        "                       not run: held up",
        "     2      1      44  of 2 faults, 1 were caused",
    ]


def test_what_was_skipped_has_not_passed() -> None:
    assert not done_of("tests/a.py::test_killed", ["skipped"], []).passed


def test_every_row_of_the_page_is_read() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    lines = [line for line in page.splitlines() if "::test_" in line]
    assert len(rows(page)) == len(lines) > 30
