"""The table of docs/faults.md with what was found: how many tests of each row passed and failed, in how many cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")
CASES = "cases"
"""Property by which a test says how many cases it went through; without it each test is one."""


@dataclass(frozen=True)
class Done:
    """A test that was run, and how it ended."""

    test: str  # path::name, without parameters
    passed: bool
    cases: int = 1


@dataclass
class Row:
    """A fault, and the tests that cause it."""

    section: str
    fault: str
    tests: frozenset[str]
    done: list[Done] = field(default_factory=list)

    def __str__(self) -> str:
        """Say in a line how it went."""
        failed = sum(not done.passed for done in self.done)
        cases = sum(done.cases for done in self.done)
        return f"{len(self.done) - failed:6} {failed or '':6} {cases or '':7}  {self.fault}"


def rows(page: str) -> list[Row]:
    """Read the rows of the page."""
    found, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and (tests := frozenset(TEST.findall(line))):
            found.append(Row(section, line.strip("| ").partition(" | ")[0].replace("`", ""), tests))
    return found


def done_of(test: str, outcomes: Iterable[str], properties: Sequence[tuple[str, object]]) -> Done:
    """Say how a test ended whose set-up, call and tear-down had these outcomes."""
    cases = sum(int(str(value)) for name, value in properties if name == CASES)
    return Done(test.partition("[")[0], set(outcomes) == {"passed"}, cases or 1)


def told(page: str, done: Mapping[str, Done]) -> list[str]:
    """Write the table as lines; last, the sum, and what no row names."""
    table = rows(page)
    for row in table:
        row.done = [each for each in done.values() if each.test in row.tests]
    lines, section = ["passed failed   cases  fault"], ""
    for row in (row for row in table if row.done):
        if row.section != section:
            section = row.section
            lines.append(f"{section}:")
        lines.append(str(row))
    named = frozenset[str]().union(*(row.tests for row in table))
    other = [each for each in done.values() if each.test not in named]
    if other:
        lines.append(str(Row("", "what the table does not name", frozenset(), other)))
    not_run = [row.fault for row in table if not row.done]
    lines += [f"                       not run: {fault}" for fault in not_run]
    lines.append(
        str(Row("", f"of {len(table)} faults, {len(table) - len(not_run)} were caused", frozenset(), [*done.values()]))
    )
    return lines
