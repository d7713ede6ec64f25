"""Nearly right files, answers and requests, more than `make test` tries: no traceback, and nothing out of place."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.deploy.agent import fuzzing
from tests.support.foreign import READERS, Reader


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_the_operator_s_side_reads_is_understood_or_refused(
    reader: Reader, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    counted = reader.fuzz(tmp_path, 500)
    record_property("cases", counted.total())
    assert counted["refused"], f"nothing was refused: {counted}"


def test_no_request_makes_a_traceback_or_leaves_its_place(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    there = fuzzing.world(tmp_path)
    codes: collections.Counter[str] = collections.Counter()

    @settings(max_examples=1500, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        codes[fuzzing.check(there, *data.draw(fuzzing.requests(there.home)))] += 1

    fuzz()
    record_property("cases", codes.total())
    assert min(codes["ok"], codes["bad-argument"], codes["bad-manifest"]) > 0, codes
