"""What the operator's side reads and did not write: nearly right files and answers are understood or refused.

Never a traceback. tests/faults/test_fuzz.py does the same for longer.
"""

from __future__ import annotations

import pytest

from tests.support.foreign import READERS, Reader


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_it_is_understood_or_refused(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> None:
    counted = reader.fuzz(tmp_path_factory.mktemp("fuzz"), 60)
    assert counted["refused"], f"nothing was refused: {counted}"
