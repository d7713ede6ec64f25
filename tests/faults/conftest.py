"""`make test-faults` ends with the table of faults."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.faults import table
from tests.support.repository import ROOT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of each row of docs/faults.md how its tests ended."""
    reports = defaultdict(list)
    for group in terminalreporter.stats.values():
        for report in group:
            if isinstance(report, pytest.TestReport):
                reports[report.nodeid].append(report)
    done = {
        test: table.done_of(test, (r.outcome for r in each), max((r.user_properties for r in each), key=len))
        for test, each in reports.items()
    }
    if done:
        terminalreporter.section("faults")
        for line in table.told((ROOT / "docs" / "faults.md").read_text(), done):
            terminalreporter.line(line)
