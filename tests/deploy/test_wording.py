"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from deploy.wording import count, human


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (239_700_000, "239.7 MB"), (5_000_000_000_000, "5000.0 GB")],
)
def test_bytes(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (1886, "1,886 files")])
def test_things(number: int, text: str) -> None:
    assert count(number, "file") == text
